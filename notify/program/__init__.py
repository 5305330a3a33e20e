"""Programs that run services: the base class, the dispatcher with an orderly shutdown on signals, and timers.

Applications with a main loop use this folder, such as the thermometer of the demo.
It uses the bus and never talks to Redis itself.
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
