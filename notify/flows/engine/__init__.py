"""The engine of flows: runs each node in a thread or in the event loop, with bounded queues, marks and errors on their ways.

A flow makes the runners and links them.
The engine never knows what an item is.
"""

from notify.flows.engine.hooks import CUT_S, Hooks
from notify.flows.engine.inbox import AsyncParker, ThreadParker
from notify.flows.engine.source_runner import SourceRunner
from notify.flows.engine.stage_runner import StageRunner
from notify.flows.engine.station import Control, Counters, Station

__all__ = [
    "CUT_S",
    "AsyncParker",
    "Control",
    "Counters",
    "Hooks",
    "SourceRunner",
    "StageRunner",
    "Station",
    "ThreadParker",
]
