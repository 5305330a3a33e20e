"""The network: TCP and Unix sockets as sources and sinks of flows, on asyncio.

Applications make a `TCPServer` or a `TCPClient`, and use it as the source of a flow, as its sink, or as both.
They never decide what a frame means, nor keep one after it was sent.
"""

from notify.flows.tcp.client import TCPClient
from notify.flows.tcp.counts import EndpointCounts
from notify.flows.tcp.security import TLS
from notify.flows.tcp.server import TCPServer

__all__ = ["TLS", "EndpointCounts", "TCPClient", "TCPServer"]
