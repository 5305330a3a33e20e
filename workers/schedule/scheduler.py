"""The scheduler: puts jobs on their queues when their time has come (``enqueue_in``, ``enqueue_at``, a retry with an interval)."""

from typing import Final

from notify.server import Client
from workers import rq_keys
from workers.scripts import AT_ONCE, DEFAULT_TIMEOUT_S, JobScriptRunner

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
        self._scripts = JobScriptRunner(client)

    def run(self) -> float:
        """Enqueue what is due, at most a chunk.

        Returns:
            Seconds until there is more: 0 if there is already, 1 at the most.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        args: list[str | bytes | int] = [self._scripts.keys.leader, LOCK_MS, AT_ONCE, LONGEST_WAIT_MS, DEFAULT_TIMEOUT_S]
        _, wait_ms = self._scripts.run_with_common_args("enqueue_due", [rq_keys.QUEUES], args, action="enqueueing what is due")
        return int(wait_ms) / 1000
