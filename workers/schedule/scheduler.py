"""The scheduler: enqueues scheduled jobs when they are due (``enqueue_in``, ``enqueue_at``, a retry with an interval)."""

from typing import Final

from notify.server import Client
from workers.scripts import AT_ONCE, DEFAULT_TIMEOUT_S, ScheduleScripts

__all__ = ["Scheduler"]

LOCK_MS: Final = 5_000
"""Lifetime of the lock on a queue's schedule: after it, a scheduler of RQ may take over the queue."""
LONGEST_WAIT_MS: Final = 1_000


class Scheduler:
    """A duty of the leader. Several may run at once: a job is enqueued once.

    The scheduler serves every queue that no scheduler of RQ serves: both take the same lock per queue. All leaders of a namespace
    take it under one name, so that the next leader continues at once.

    Args:
        client: the client of the thread that calls `run`.
    """

    def __init__(self, client: Client) -> None:
        self._scripts = ScheduleScripts(client)

    def run(self) -> float:
        """Enqueue jobs that are due, at most one chunk.

        Returns:
            Seconds until the next job is due: 0 if one is due already, 1 at the most.

        Raises:
            ServerError: Redis did not answer, or refused.
        """
        name = self._scripts.keys.leader
        wait_ms = self._scripts.enqueue_due(
            name, lock_ms=LOCK_MS, count=AT_ONCE, longest_wait_ms=LONGEST_WAIT_MS, timeout_s=DEFAULT_TIMEOUT_S
        )
        return wait_ms / 1000
