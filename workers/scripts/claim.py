"""The claim: one call of a script per job, which records the end of the worker's last run and gives the worker the next job."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from notify.server import LONGEST_TTL_S, Client
from workers import rq_keys
from workers.errors import JobDefinitionError
from workers.scripts.payload import first_bytes, too_large
from workers.scripts.run import DEFAULT_TIMEOUT_S, Ended, Run
from workers.scripts.runner import JobScriptRunner, rq_time

__all__ = ["Claim", "ClaimScripts"]


class Claim(msgspec.Struct, frozen=True):
    """The answer to a claim.

    Args:
        ended: how the end of the last run was recorded: ``finished``, ``refused``, ``dependents``, or empty if no run had ended.
        answer: ``started``, or why there is no job: ``suspended``, ``more`` (ask again), ``look`` (`ClaimScripts.examine_call` first), or
            empty if no queue has one.
        queue: the index, in the queues that were passed, of the queue on which the job was; for ``more`` and ``look`` the ``start`` of
            the next claim; for an empty answer the number of jobs that were left in the queues.
        job_id: the id of the job.
        fields: the hash of the job.
        fence: the fence of the run that begins.
        problem: why the job cannot be run at all, or empty.
        overdue: a service that is silent but not withdrawn yet, and that a job on one of the queues waits for; else empty.
    """

    ended: str
    answer: str
    queue: int
    job_id: str
    fields: Mapping[bytes, bytes]
    fence: str
    problem: str = ""
    overdue: str = ""

    @property
    def run(self) -> Run:
        return Run(self.job_id, self.fence)


class ClaimScripts(JobScriptRunner):
    """The claims of one worker.

    Args:
        client: the connection of the worker.
        worker: the name of the worker.
        heartbeat_s: seconds between heartbeats of a run.
        idle_s: seconds that the worker may be silent while it is idle.
        result_ttl_s: seconds for which results are kept, unless the job has a time of its own; -1 for ever.
        skip_foreign: whether pickled jobs of plain RQ stay where they are, for RQ's own workers.

    Raises:
        JobDefinitionError: ``result_ttl_s`` is out of range.
    """

    def __init__(
        self, client: Client, worker: str, *, heartbeat_s: int, idle_s: int, result_ttl_s: int, skip_foreign: bool = False
    ) -> None:
        super().__init__(client)
        if not -1 <= result_ttl_s <= LONGEST_TTL_S:
            raise JobDefinitionError(f"results are to be kept for {result_ttl_s} s: give -1 for ever, or 0 to {LONGEST_TTL_S}")
        self._worker = worker
        self._keys = [rq_keys.worker(worker), rq_keys.suspended()]
        self._args: list[str | bytes | int] = [heartbeat_s, idle_s, DEFAULT_TIMEOUT_S]
        self._result_ttl_s = result_ttl_s
        self._skips_foreign = "1" if skip_foreign else ""
        self._max_bytes = client.settings.max_payload_bytes

    def claim(self, queues: Sequence[str], *, fence: str, ended: Ended | None, again: bool = False, start: int = 0) -> Claim:
        """Record the end of a run, and take the first job of the queues that may start.

        Args:
            queues: keys of the queues, the most urgent first. Without any, the end is recorded and no job is taken.
            fence: the fence of the run that begins; a new one for each claim.
            ended: the run that ended, if one did.
            again: the same claim was made before, and its answer was lost: its steps are not done twice.
            start: how many jobs to pass over, which an earlier claim left where they are.

        Raises:
            ServerUnreachableError: no answer. The claim may have succeeded: repeat it with ``again``.
            ServerRefusedError: the server answered with an error.
        """
        args = [fence, self._worker, "again" if again else "", *self._args, *self._ended(ended), self._max_bytes]
        args += [self._skips_foreign, start]
        now, keys = rq_time(datetime.now(UTC)), [*self._keys, *queues]
        result = self.run_with_common_args("claim", keys, args, action="asking for a job", now=now)
        end, answer, queue, job_id, flat, oversized, overdue = result
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        if answer == b"started":
            fields.update({b"status": answer, b"started_at": now.encode(), b"worker_name": self._worker.encode()})
        problem = too_large(f"the call of job {job_id.decode()}", oversized, self._max_bytes) if oversized else ""
        return Claim(end.decode(), answer.decode(), queue, job_id.decode(), fields, fence, problem, overdue.decode())

    def examine_call(self, job_id: str) -> None:
        """Note in a job whether its call is JSON or pickled, for the claims. Of a compressed call only the first bytes are unpacked.

        Raises:
            ServerError: Redis did not answer, or refused.
        """
        with self.client.translating(f"reading the call of job {job_id}"):
            data: Any = self.client.exchange("HGET", rq_keys.job(job_id), "data")
        call = "json" if first_bytes(data or b"").startswith(b"[") else "pickled"
        self.mark_call(job_id, call)

    def left_run(self) -> Run | None:
        """Return the run that this worker is at, as far as the server knows; ``None`` if it is at none. Errors as for `examine_call`."""
        with self.client.translating("looking for the run of a worker"):
            job_id = self.client.exchange("HGET", self._keys[0], "current_job")
            if not job_id:
                return None
            key = rq_keys.job(job_id.decode(errors="replace"))
            status, worker, fence = self.client.exchange("HMGET", key, "status", "worker_name", "fence")
        is_running = (status, worker) == (b"started", self._worker.encode()) and fence is not None
        return Run(job_id.decode(errors="replace"), fence.decode(errors="replace")) if is_running else None

    def mark_call(self, job_id: str, call: str) -> None:
        """Note in a job, unless it is gone, that its call is ``json`` or ``pickled``. Errors as for `examine_call`."""
        self.run("mark_call", [rq_keys.job(job_id)], [call], action=f"marking job {job_id}")

    def _ended(self, ended: Ended | None) -> Sequence[str | bytes | int]:
        if ended is None:
            return ("", "", "", "", "", "", "")
        at = rq_time(datetime.fromtimestamp(ended.ended_s, UTC))
        times = (f"{ended.started_s:.6f}", f"{ended.ended_s:.6f}", at)
        return (ended.run.job_id, ended.run.fence, *times, ended.result or b"", self._result_ttl_s)
