"""A program that runs services: the dispatcher, its timers, and an orderly shutdown on signals.

Applications with a main loop use it, the thermometer among them.
It stands on the bus and talks to no server itself.
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
