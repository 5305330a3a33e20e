"""Callbacks of runs that were stopped or killed: the worker has them called in the horse, never in its own process.

The recorder of ends and the loop of the worker use it.
Nothing here records the end of a run: ``on_stopped`` is called before the end is recorded, a callback that is owed after it.
"""

from workers.worker.callbacks.owed import OwedCallbacks, call_owed
from workers.worker.callbacks.stopped import StoppedCallback

__all__ = ["OwedCallbacks", "StoppedCallback", "call_owed"]
