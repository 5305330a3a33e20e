"""The scheduler: enqueues jobs that were scheduled by ``enqueue_in``, ``enqueue_at`` or a retry with an interval when they are due."""

from contextlib import suppress
from typing import Final

from notify.errors import ServerError
from notify.server import Client
from workers.scripts import AT_ONCE, DEFAULT_TIMEOUT_S, ScheduleScripts

__all__ = ["Scheduler"]

LOCK_MS: Final = 5_000
"""Lifetime of the lock on a queue's schedule. When it is over, a scheduler of RQ may take over the queue."""
LONGEST_WAIT_MS: Final = 1_000
"""The longest pause between two calls of `Scheduler.run`. A job that is scheduled meanwhile may be that late."""


class Scheduler:
    """A duty of the leader: enqueues scheduled jobs. If several workers run it at once, a job is still enqueued once.

    The scheduler serves every queue that no scheduler of RQ serves: both take the same lock per queue. All leaders of a namespace
    write the same name into it, so that the next leader continues at once.

    Args:
        client: the client of the thread that calls `run`.
    """

    def __init__(self, client: Client) -> None:
        self._scripts = ScheduleScripts(client)

    def run(self) -> float:
        """Enqueue jobs that are due, at most `AT_ONCE`.

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

    def run_all(self) -> None:
        """Enqueue all jobs that are due; those that are left when the server does not answer are for the next leader."""
        with suppress(ServerError):  # see above
            while self.run() == 0.0:
                continue
