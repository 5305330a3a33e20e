"""Fan-out: each frame to every client, each of which has a bounded queue of its own, so that a slow one delays nobody.

The servers of flows send by it.
It knows neither sockets nor framings: a client is whatever has the methods of `Sender`.
"""

from notify.flows.fanout.chunk import Chunk
from notify.flows.fanout.fanout import Fanout
from notify.flows.fanout.queue import ClientQueue, QueueLimits, Sender, WhenFull

__all__ = ["Chunk", "ClientQueue", "Fanout", "QueueLimits", "Sender", "WhenFull"]
