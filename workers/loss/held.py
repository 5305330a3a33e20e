"""Held jobs: returns them to their queue in growing batches when their service is back, or cancels them after ``max_hold_s``."""

from typing import Final

from notify.server import Client
from workers.scripts import AT_ONCE, JobScripts

__all__ = ["HeldJobs"]

FIRST_BATCH: Final = 8
"""Jobs in the first batch of a queue and a need. When the last job of a batch has started, the next one follows, twice as large."""
LARGEST_BATCH: Final = 128
"""Jobs that one script puts back at most; it occupies the server for a few milliseconds."""
MIN_PAUSE_S: Final = 0.02
MAX_PAUSE_S: Final = 1.0
IDLE_PAUSE_S: Final = 2.0
"""The pause while no job is held. If a job is then held for a shorter time than this pause, it is cancelled after the pause."""


class HeldJobs:
    """A duty of the leader: releases or cancels held jobs. Several workers may run it at once; one is enough.

    Args:
        client: the client of the thread that calls `run`.
    """

    def __init__(self, client: Client) -> None:
        self._scripts = JobScripts(client)
        self._pause_s = MAX_PAUSE_S

    def run(self) -> float:
        """Release a batch of the jobs whose service is back, and cancel the jobs that were held for too long.

        Returns:
            Seconds until the next call.

        Raises:
            ServerError: Redis did not answer, or refused.
        """
        expired, pairs = self._scripts.expire_holds(AT_ONCE)
        batches = [self._scripts.release_held(queue, need, first=FIRST_BATCH, most=LARGEST_BATCH) for queue, need in pairs]
        if expired == AT_ONCE or any(batch.released for batch in batches):
            self._pause_s = MIN_PAUSE_S
        elif any(batch.is_under_way for batch in batches):
            self._pause_s = min(MAX_PAUSE_S, 2 * self._pause_s)  # the jobs of the last batch have not all started yet
        else:
            self._pause_s = MAX_PAUSE_S if pairs else IDLE_PAUSE_S
        return self._pause_s
