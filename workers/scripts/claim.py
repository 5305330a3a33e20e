"""The claims of a worker: a script records the ends of its last runs, and gives it the next job, or several plain ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from workers import rq_keys
from workers.scripts.ahead import runs_in, text_of
from workers.scripts.claimed import Claim, fields_of, texts_of_end
from workers.scripts.payload import first_bytes, too_large
from workers.scripts.refill import RefillScripts
from workers.scripts.run import Ended, Run
from workers.scripts.runner import rq_now

__all__ = ["ClaimScripts"]


class ClaimScripts(RefillScripts):
    """The claims of one worker.

    Args:
        client: the connection of the worker.
        worker: the name of the worker.
        heartbeat_s: seconds between heartbeats of a run.
        idle_s: seconds that the worker may be silent while it is idle.
        result_ttl_s: seconds for which results are kept, unless the job has a time of its own; -1 for ever.
        options: what it claims and records.

    Raises:
        JobDefinitionError: ``result_ttl_s`` is out of range.
    """

    def claim(
        self,
        queues: Sequence[str],
        *,
        fence: str,
        ended: Ended | None,
        again: bool = False,
        start: int = 0,
        line: Sequence[Run] = (),
        rooms: Mapping[str, int] | None = None,
    ) -> Claim:
        """Record the end of a run, and take the first job of the queues that may start.

        Args:
            queues: keys of the queues, the most urgent first. Without any, the end is recorded and no job is taken.
            fence: the fence of the run that begins; a new one for each claim.
            ended: the run that ended, if one did.
            again: the same claim was made before, and its answer was lost: its steps are not done twice.
            start: how many jobs to pass over, which an earlier claim left where they are.
            line: the runs that go on, the oldest first.
            rooms: only these functions may be called, by their paths, and so often; by default any.

        Raises:
            ServerUnreachableError: no answer. The claim may have succeeded: repeat it with ``again``.
            ServerRefusedError: the server answered with an error.
        """
        args: list[str | bytes | int] = [fence, self._worker, "again" if again else "", *self._args, *texts_of_end(ended)]
        args += ["" if ended is None else self._result_ttl_s, self._max_bytes, self._skips_foreign, start]
        args += [text_of(line), "" if rooms is None else msgspec.json.encode(rooms)]
        now, keys = rq_now(), [*self._keys, *queues]
        result = self.run_with_common_args("claim", keys, args, action="asking for a job", now=now)
        end, answer, queue, job_id, flat, oversized, overdue, more = result
        common = {b"status": b"started", b"started_at": now.encode(), b"worker_name": self._worker.encode()}
        fields = fields_of(flat, common) if answer == b"started" else {}
        problem = too_large(f"the call of job {job_id.decode()}", oversized, self._max_bytes) if oversized else ""
        return Claim(end.decode(), answer.decode(), queue, job_id.decode(), fields, fence, problem, overdue.decode(), bool(more))

    def give_back(self, runs: Sequence[Run], *, line: Sequence[Run], goes_on: Run | None = None, ttl_s: int = 0) -> set[str]:
        """Put jobs that have not begun back on the front of their queues.

        Args:
            runs: their runs, the oldest first.
            line: the runs that stay with the worker.
            goes_on: a run to announce, because the others would have to wait for it.
            ttl_s: seconds within which that sends its next heartbeat.

        Returns:
            The ids of the jobs that were not put back: they were stopped, or the worker has them no more.
        """
        going = ("", "") if goes_on is None else (goes_on.job_id, goes_on.fence)
        args: list[str | bytes | int] = [self._worker, *going, ttl_s, text_of(line)]
        args += [text for run in runs for text in (run.job_id, run.fence)]
        self._tally.leaves()
        refused = self.run_with_common_args("giveback", self._keys[:1], args, action=f"putting {len(runs)} jobs back")
        return {job_id.decode() for job_id in refused}

    def wake_idle(self, queues: Sequence[str], *, is_leaving: bool) -> int:
        self._tally.leaves()
        return super().wake_idle(queues, is_leaving=is_leaving)

    @property
    def is_behind(self) -> bool:
        """Whether runs have ended that are not counted yet: a refill that takes no job counts them."""
        return self._tally.is_behind

    def examine_call(self, job_id: str) -> None:
        """Note in a job whether its call is JSON or pickled, for the claims. Of a compressed call only the first bytes are unpacked.

        Raises:
            ServerError: Redis did not answer, or refused.
        """
        with self.client.translating(f"reading the call of job {job_id}"):
            data: Any = self.client.exchange("HGET", rq_keys.job(job_id), "data")
        call = "json" if first_bytes(data or b"").startswith(b"[") else "pickled"
        self.mark_call(job_id, call)

    def left_runs(self) -> list[Run]:
        """Return the runs that this worker is at, as far as the server knows, the oldest first. Errors as for `examine_call`."""
        with self.client.translating("looking for the runs of a worker"):
            job_id, ahead = self.client.exchange("HMGET", self._keys[0], "current_job", "ahead")
            ids = [run.job_id for run in runs_in(ahead)] or ([job_id.decode(errors="replace")] if job_id else [])
            found = []
            for each in ids:
                status, worker, fence = self.client.exchange("HMGET", rq_keys.job(each), "status", "worker_name", "fence")
                if (status, worker) == (b"started", self._worker.encode()) and fence is not None:
                    found.append(Run(each, fence.decode(errors="replace")))
        return found

    def mark_call(self, job_id: str, call: str) -> None:
        """Note in a job, unless it is gone, that its call is ``json`` or ``pickled``. Errors as for `examine_call`."""
        self.run("mark_call", [rq_keys.job(job_id)], [call], action=f"marking job {job_id}")
