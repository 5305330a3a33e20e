"""What a worker need not write with every claim: it counts here, and writes now and then."""

import time
from collections.abc import Sequence
from typing import Final

from workers import rq_keys
from workers.scripts.run import Ended

__all__ = ["Tally"]

SERVES_S: Final = 0.02
"""Seconds for which the mark that the worker serves a queue is left as it is. It lasts 50 ms, and a job that takes 20 ms wakes others."""
WRITES_S: Final = 1.0
"""Seconds after which the counters of the worker are written, and the lifetime of its key is extended. A worker without a job does so at
once."""


class Tally:
    """The runs that a worker has finished and not counted in its key, and when it wrote what lasts for a while.

    A worker that is killed loses the counts of its last second, and with its key all others as well.
    """

    def __init__(self) -> None:
        self._count = 0
        self._seconds = 0.0
        self._queue = self._sent = ""
        self._began = 0.0
        self._served = self._written = -60.0

    @property
    def is_behind(self) -> bool:
        """Whether runs are not counted yet."""
        return self._count > 0

    def begin(self, *, writes: bool) -> tuple[str, str, int, str]:
        """Return for a call of ``refill.lua`` the queue that need not be marked, "1" if the rest is to be written, and what was counted."""
        self._began = now = time.monotonic()
        self._sent = "" if now - self._served >= SERVES_S else self._queue
        return self._sent, "1" if writes or now - self._written >= WRITES_S else "", self._count, f"{self._seconds:.6f}"

    def note(self, ended: Sequence[Ended], answers: Sequence[bytes], *, is_counted: bool, queue: str) -> None:
        """Note what such a call has done.

        Args:
            ended: the runs that had ended.
            answers: how their ends were recorded.
            is_counted: whether the counters were written.
            queue: the key of the queue of its last claim, which is marked; empty: it has claimed none.
        """
        if is_counted:
            self._count, self._seconds, self._written = 0, 0.0, self._began
        else:
            for end, answer in zip(ended, answers, strict=True):
                if answer == b"finished":
                    self._count += 1
                    self._seconds += end.ended_s - end.started_s
        name = rq_keys.queue_name(queue) if queue else ""
        if not name:
            self._queue = ""
        elif name != self._sent:
            self._queue, self._served = name, self._began

    def leaves(self) -> None:
        """Note that no queue is marked any more."""
        self._queue = ""
