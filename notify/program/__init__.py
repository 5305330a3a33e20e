"""Programs that run services: the base class, the dispatcher with an orderly shutdown on signals, and timers.

Applications with a main loop use it, such as the thermometer.
It uses the bus and never talks to the server itself.
"""

from notify.program.dispatcher import Dispatcher
from notify.program.program import Program
from notify.program.timers import Priority, Timer, Timers

__all__ = [
    "Dispatcher",
    "Priority",
    "Program",
    "Timer",
    "Timers",
]
