"""Runs of ``async def`` jobs side by side: many at a time in the event loop of one horse.

The main loop of the worker hands over when it has claimed such a job, until no such run is left; the horse performs them in its loop.
Nothing here runs beside a job of another kind: that waits until the event loop is empty.
"""

from workers.worker.side_by_side.group import Group

__all__ = ["Group"]
