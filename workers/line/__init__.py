"""The line of a horse: the runs that its worker has claimed, from the one that is at work to those that have not begun.

The main loop of the worker gives, waits and gives back; its other threads stop runs.
Nothing here claims a job or records an end, but the last will of a worker that was killed.
"""

from workers.line.last_will import LastWill
from workers.line.line import Line
from workers.line.place import Place
from workers.line.stopping import KILL, Stopping
from workers.line.window import MOST_AHEAD, Window, window_of

__all__ = ["KILL", "MOST_AHEAD", "LastWill", "Line", "Place", "Stopping", "Window", "window_of"]
