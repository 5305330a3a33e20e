"""This operating-system process: its identity, an event for signal handlers, holds that delay a shutdown, its title and memory,
and how another one is started.

Programs, services, workers and the command line use this folder.
It never talks to a server.
"""

from notify.process.command import own_command
from notify.process.identity import ProcessIdentity, this_process
from notify.process.memory import memory_kib
from notify.process.signal_event import SignalSafeEvent
from notify.process.suspension import Suspension, Suspensions
from notify.process.title import set_title

__all__ = [
    "ProcessIdentity",
    "SignalSafeEvent",
    "Suspension",
    "Suspensions",
    "memory_kib",
    "own_command",
    "set_title",
    "this_process",
]
