"""The scheduler: puts jobs on their queues when their time has come (``enqueue_in``, ``enqueue_at``, a retry with an interval)."""

from typing import Final

from notify.connection import Client
from notify.scripts import ScriptRunner
from workers import rq_keys
from workers.claims import DEFAULT_TIMEOUT_S
from workers.queue import INDEX_MS
from workers.scripts import rq_now

__all__ = ["Scheduler"]

LOCK_MS: Final = 5_000
"""When we do not come back for so long, a scheduler of RQ may look after a queue."""
CHUNK: Final = 200
"""Jobs enqueued by one script: it holds the server for a few milliseconds at the most."""
LONGEST_WAIT_MS: Final = 1_000


class Scheduler:
    """A duty of the leader; any number of them may run at once, a job is enqueued once.

    It looks after all queues that no scheduler of RQ's looks after, and none of RQ's joins in while it does: both take the same
    lock. All of a namespace take it in one name, so that the next leader goes on at once.

    Args:
        client: for whoever calls `run`.
    """

    def __init__(self, client: Client) -> None:
        self._scripts = ScriptRunner(client, "workers")
        plain = (rq_keys.queue, rq_keys.scheduled, rq_keys.scheduler_lock, rq_keys.job, self._scripts.keys.needs)
        both = (rq_keys.dependents, rq_keys.dependencies)
        self._names = [key("") for key in plain] + [part for key in both for part in key("\0").split("\0")]

    def run(self) -> float:
        """Enqueue what is due, at most a chunk.

        Returns:
            Seconds until there is more: 0 if there is already, 1 at the most.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        limits = (CHUNK, LONGEST_WAIT_MS, DEFAULT_TIMEOUT_S, INDEX_MS)
        args: list[str | bytes | int] = [self._scripts.keys.leader, LOCK_MS, rq_now(), *limits, *self._names]
        _, wait_ms = self._scripts.run("schedule", [rq_keys.QUEUES], args, action="enqueueing what is due")
        return int(wait_ms) / 1000
