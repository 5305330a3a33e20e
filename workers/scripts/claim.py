"""The claims of a worker: a script records the ends of its last runs, and gives it the next job, or several plain ones."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

import msgspec

from notify.server import LONGEST_TTL_S, Client
from workers import rq_keys
from workers.errors import JobDefinitionError
from workers.scripts.ahead import runs_in, text_of
from workers.scripts.fences import Fences
from workers.scripts.payload import first_bytes, too_large
from workers.scripts.run import DEFAULT_TIMEOUT_S, Ended, Run
from workers.scripts.runner import JobScriptRunner, rq_time
from workers.scripts.tally import Tally

__all__ = ["Claim", "ClaimOptions", "ClaimScripts", "History", "Refill"]

AHEAD_BYTES: Final = 65_536
"""The most bytes of jobs that are claimed ahead: what the horse has not read yet fits into the socket to it."""


History: TypeAlias = Literal["full", "lean"]


class ClaimOptions(msgspec.Struct, frozen=True):
    """What a worker claims, and what it records.

    Args:
        skip_foreign: whether pickled jobs of plain RQ stay where they are, for RQ's own workers.
        history: ``lean`` leaves out the events of starts and successes, results that are ``None``, and RQ's records of runs.
    """

    skip_foreign: bool = False
    history: History = "full"


ALL: Final = ClaimOptions()


class Claim(msgspec.Struct, frozen=True):
    """The answer to a claim.

    Args:
        ended: how the end of the last run was recorded: ``finished``, ``refused``, ``dependents``, or empty if no run had ended.
        answer: ``started``, or why there is no job: ``suspended``, ``more`` (ask again), ``look`` (`ClaimScripts.examine_call` first),
            ``other`` (what comes first calls another function), or empty if no queue has one.
        queue: the index, in the queues that were passed, of the queue on which the job was; for ``more`` and ``look`` the ``start`` of
            the next claim; for an empty answer the number of jobs that were left in the queues.
        job_id: the id of the job.
        fields: the hash of the job.
        fence: the fence of the run that begins.
        problem: why the job cannot be run at all, or empty.
        overdue: a service that is silent but not withdrawn yet, and that a job on one of the queues waits for; else empty.
        has_more: whether there are more jobs on that queue.
    """

    ended: str
    answer: str
    queue: int
    job_id: str
    fields: Mapping[bytes, bytes]
    fence: str
    problem: str = ""
    overdue: str = ""
    has_more: bool = False

    @property
    def run(self) -> Run:
        """The run that was claimed."""
        return Run(self.job_id, self.fence)

    @property
    def goes_with_others(self) -> bool:
        """Whether plain jobs may be claimed while this one runs: it needs no service, and calls nothing when it is stopped."""
        return not (self.problem or self.fields.get(b"needs") or self.fields.get(b"stopped_callback_name"))


class Refill(msgspec.Struct, frozen=True):
    """The answer to a refill.

    Args:
        ended: for each run that ended how that was recorded, as in a `Claim`.
        answer: ``started``, or why there is no job: ``suspended``, ``unfinished`` (an end has to be recorded first), ``alone`` (what
            comes first has to be claimed alone), ``full`` (there is no room for more calls of its
            function), or empty if there is none or none was wanted.
        claims: the runs that begin.
        has_more: whether there are more jobs.
    """

    ended: tuple[str, ...]
    answer: str
    claims: tuple[Claim, ...] = ()
    has_more: bool = False


class ClaimScripts(JobScriptRunner):
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

    def __init__(
        self, client: Client, worker: str, *, heartbeat_s: int, idle_s: int, result_ttl_s: int, options: ClaimOptions = ALL
    ) -> None:
        super().__init__(client, is_lean=options.history == "lean")
        if not -1 <= result_ttl_s <= LONGEST_TTL_S:
            raise JobDefinitionError(f"results are to be kept for {result_ttl_s} s: give -1 for ever, or 0 to {LONGEST_TTL_S}")
        self._worker = worker
        self._keys = [rq_keys.worker(worker), rq_keys.suspended(), client.own_keys.paused]
        self._args: list[str | bytes | int] = [heartbeat_s, idle_s, DEFAULT_TIMEOUT_S]
        self._result_ttl_s = result_ttl_s
        self._skips_foreign = "1" if options.skip_foreign else ""
        self._max_bytes = client.settings.max_payload_bytes
        self._tally = Tally()

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
        args: list[str | bytes | int] = [fence, self._worker, "again" if again else "", *self._args, *_texts_of_end(ended)]
        args += ["" if ended is None else self._result_ttl_s, self._max_bytes, self._skips_foreign, start]
        args += [text_of(line), "" if rooms is None else msgspec.json.encode(rooms)]
        now, keys = rq_time(datetime.now(UTC)), [*self._keys, *queues]
        result = self.run_with_common_args("claim", keys, args, action="asking for a job", now=now)
        end, answer, queue, job_id, flat, oversized, overdue, more = result
        fields = _fields_of(flat, now=now, worker=self._worker.encode()) if answer == b"started" else {}
        problem = too_large(f"the call of job {job_id.decode()}", oversized, self._max_bytes) if oversized else ""
        return Claim(end.decode(), answer.decode(), queue, job_id.decode(), fields, fence, problem, overdue.decode(), bool(more))

    def refill(
        self,
        queues: Sequence[str],
        *,
        ended: Sequence[Ended],
        line: Sequence[Run],
        wanted: int,
        fences: Fences,
        number: int,
        most_bytes: int = AHEAD_BYTES,
        again: bool = False,
        rooms: Mapping[str, int] | None = None,
        beside: bool = False,
    ) -> Refill:
        """Record the ends of some runs, and take some plain jobs ahead of their turn.

        Args:
            queues: keys of the queues, the most urgent first.
            ended: the runs that ended, the oldest first.
            line: the runs that go on, the oldest first.
            wanted: how many jobs to take at most.
            fences: of the worker.
            number: the first of ``wanted`` numbers, or of one, that were taken from ``fences`` for this call.
            most_bytes: the most bytes of these jobs.
            again: as for `claim`.
            rooms: how many calls may be taken of the functions that run side by side, by their paths.
            beside: whether only these are taken; by default only others.

        Raises: as for `claim`.
        """
        tally = self._tally
        heartbeat_s, idle_s, timeout_s = self._args
        args: list[str | bytes | int] = [self._worker, "again" if again else "", fences.fence(number), heartbeat_s, idle_s, timeout_s]
        args += [self._result_ttl_s]
        args += [self._max_bytes, most_bytes, self._skips_foreign, text_of(line), fences.base, number, wanted]
        args += [msgspec.json.encode(rooms or {}), "1" if beside else "", *tally.begin(writes=not wanted)]
        for end in ended:
            args += _texts_of_end(end)
        now, keys = rq_time(datetime.now(UTC)), [*self._keys, *queues]
        answers, answer, more, counted, *rows = self.run_with_common_args("refill", keys, args, action="asking for jobs", now=now)
        tally.note(ended, answers, is_counted=bool(counted), queue=queues[rows[-3]] if rows else "")
        worker = self._worker.encode()
        claims = tuple(
            Claim("", "started", queue, job_id.decode(), _fields_of(flat, now=now, worker=worker), "", has_more=bool(more))
            for queue, job_id, flat in zip(rows[::3], rows[1::3], rows[2::3], strict=True)
        )
        claims = tuple(msgspec.structs.replace(claim, fence=fences.fence(number + place)) for place, claim in enumerate(claims))
        return Refill(tuple(each.decode() for each in answers), answer.decode(), claims, bool(more))

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


def _texts_of_end(ended: Ended | None) -> Sequence[str | bytes | int]:
    """Return an end as ``claim.lua`` and ``refill.lua`` take it."""
    if ended is None:
        return ("", "", "", "", "", "", "", "")
    started_at, ended_at = (rq_time(datetime.fromtimestamp(at_s, UTC)) for at_s in (ended.started_s, ended.ended_s))
    times = (f"{ended.started_s:.6f}", f"{ended.ended_s:.6f}", started_at, ended_at)
    announced = "?" if ended.is_announced is None else "1" if ended.is_announced else ""
    return (ended.run.job_id, ended.run.fence, announced, *times, ended.result or b"")


def _fields_of(flat: Sequence[bytes], *, now: str, worker: bytes) -> dict[bytes, bytes]:
    """Return the hash of a job as it is since the start of its run."""
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    fields.update({b"status": b"started", b"started_at": now.encode(), b"worker_name": worker})
    return fields
