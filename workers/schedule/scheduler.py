"""The scheduler: puts jobs on their queues when their time has come (``enqueue_in``, ``enqueue_at``, a retry with an interval)."""

from typing import Final

from notify.server import Client
from workers.scripts import AT_ONCE, DEFAULT_TIMEOUT_S, ScheduleScripts

__all__ = ["Scheduler"]

LOCK_MS: Final = 5_000
"""When we do not come back for so long, a scheduler of RQ may look after a queue."""
LONGEST_WAIT_MS: Final = 1_000


class Scheduler:
    """A duty of the leader; any number of them may run at once, a job is enqueued once.

    It looks after all queues that no scheduler of RQ's looks after, and none of RQ's joins in while it does: both take the same
    lock. All of a namespace take it in one name, so that the next leader goes on at once.

    Args:
        client: for whoever calls `run`.
    """

    def __init__(self, client: Client) -> None:
        self._scripts = ScheduleScripts(client)

    def run(self) -> float:
        """Enqueue what is due, at most a chunk.

        Returns:
            Seconds until there is more: 0 if there is already, 1 at the most.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        name = self._scripts.keys.leader
        wait_ms = self._scripts.enqueue_due(
            name, lock_ms=LOCK_MS, count=AT_ONCE, longest_wait_ms=LONGEST_WAIT_MS, timeout_s=DEFAULT_TIMEOUT_S
        )
        return wait_ms / 1000
