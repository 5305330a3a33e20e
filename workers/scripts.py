"""One typed method per atomic step of a job. The steps themselves are the ``.lua`` files beside this one."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final

from notify.connection import Client
from notify.scripts import ScriptRunner
from workers import rq_keys

__all__ = ["KEEP_CANCELLED_MS", "JobScripts"]

KEEP_CANCELLED_MS: Final = 86_400_000
"""How long a cancelled job can still be looked at."""


class JobScripts(ScriptRunner):
    """The atomic steps of jobs."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, "workers")

    def cancel(
        self, queue: str, job_ids: Sequence[str], *, reason: str, needs: Collection[str] = (), lost: bool = False, need: str = ""
    ) -> tuple[int, int]:
        """Cancel those of the jobs that have not started.

        Args:
            queue: their queue.
            job_ids: which.
            reason: in words.
            needs: the services whose indexes forget those that wait no more.
            lost: only those that lost a service they need.
            need: the service that their outcome names if they lost none.

        Returns:
            How many were cancelled, and how many still wait.
        """
        keys = [*self._cancel_keys(queue), *map(rq_keys.job, job_ids), *map(self.keys.needs, needs)]
        args = ["lost" if lost else "asked", reason, *self._cancel_args(queue), need, *job_ids]
        cancelled, waiting = self.run("cancel", keys, args, action=f"cancelling jobs of {queue!r}")
        return int(cancelled), int(waiting)

    def verdict(self, job_id: str, *, fence: str) -> str:
        """Judge a running job. Returns ``go on``, ``lost:<service>``, ``stopped`` or ``superseded``, as in ``verdict.lua``."""
        keys = [rq_keys.job(job_id), self.keys.losses, self.keys.services]
        return self._text("verdict", keys, [fence], action=f"judging job {job_id}")

    def stop(self, job_id: str, *, reason: str) -> str:
        """Mark a running job as stopped. Returns ``stopped``, ``ending`` (it comes too late), or the status that it has instead."""
        return self._text("stop", [rq_keys.job(job_id)], [reason, KEEP_CANCELLED_MS], action=f"stopping job {job_id}")

    def is_run_by(self, worker: str, job_id: str) -> bool:
        """Whether a job is running as far as the server knows, and that worker runs it."""
        with self.client.translating(f"looking who runs job {job_id}"):
            status, name = self.client.hmget(rq_keys.job(job_id), "status", "worker_name")
        return status == b"started" and name == worker.encode()

    def seal(self, job_id: str, *, fence: str) -> bool:
        """Decide that a run ends by itself. Returns whether it still may."""
        return bool(self.run("seal", [rq_keys.job(job_id)], [fence], action=f"finishing job {job_id}"))

    def _text(self, name: str, keys: Sequence[str], args: Sequence[str | bytes | int], *, action: str) -> str:
        answer: bytes = self.run(name, keys, args, action=action)
        return answer.decode()

    def _cancel_keys(self, queue: str) -> list[str]:
        registries = [rq_keys.queue(queue), rq_keys.canceled(queue), rq_keys.deferred(queue), rq_keys.scheduled(queue)]
        return [self.keys.losses, self.keys.services, *registries, *self.emit_keys(self.keys.job_topic(queue))]

    def _cancel_args(self, queue: str) -> list[str | bytes | int]:
        topic = self.keys.job_topic(queue)
        return [self.keys.channel(topic), topic, self.body(topic, "@contents@"), rq_now(), KEEP_CANCELLED_MS, *self.limits()]


def rq_now() -> str:
    """The present as RQ writes it into its hashes."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
