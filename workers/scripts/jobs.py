"""The atomic steps of jobs: one typed method per Lua script."""

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from notify.errors import NotifyError, RequestTimeoutError
from notify.keys import any_provider
from notify.server import Client
from workers import rq_keys
from workers.scripts.clock_watch import ClockWatch
from workers.scripts.run import BEGIN_S, ErrorCheck, Run, RunCheck
from workers.scripts.runner import KEEP_CANCELLED_MS, JobScriptRunner

__all__ = ["AT_ONCE", "JobScripts", "LossResult", "Released"]

_pair: Final = msgspec.json.Decoder(tuple[str, str])
AT_ONCE: Final = 100
"""Waiting jobs that one script cancels, holds or enqueues; the script occupies the server for a few milliseconds at most."""
COMPACT_AT_ONCE: Final = 1_000
"""Places in the list of a queue that one script looks at; the script occupies the server for about a millisecond."""

UNDECIDED: Final = frozenset({"ending", "queued", "deferred", "scheduled", "ready_to_enqueue", "rate_limited"})
"""Answers of `JobScripts.stop_run` after which a cancel has to try again."""
ENDING_S: Final = 5.0
"""Seconds for which a cancel is retried while a worker records the end of the job."""
UNBEGUN_S: Final = BEGIN_S + 0.5
"""Seconds that a cancel waits at most for the worker that has claimed the job. After that the job does not begin either."""
ANSWER_MS: Final = 10_000
"""For how long the answer to a stop is kept."""


class LossResult(NamedTuple):
    """The effect of a loss on some waiting jobs: numbers of jobs, and the queues to call `JobScripts.compact_queue` for."""

    looked_at: int
    cancelled: int
    held: int
    waiting: int
    queues: Sequence[str]


class Released(NamedTuple):
    """How many held jobs were put back, how many are still held, and whether their need is there."""

    released: int
    left: int
    is_there: bool

    @property
    def is_under_way(self) -> bool:
        """True if more jobs are to be put back as soon as these have started."""
        return self.is_there and self.left > 0


class JobScripts(JobScriptRunner):
    """The atomic steps of jobs."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._watch = ClockWatch()

    def cancel(self, job_ids: Sequence[str], *, reason: str, queue: str = "", from_list: bool = True) -> int:
        """Cancel those of the jobs that have not started.

        Args:
            job_ids: the ids of the jobs.
            reason: the reason, in words.
            queue: cancel only jobs on this queue.
            from_list: take them out of the list of their queue too, one by one; else call `compact_queue` afterwards.

        Returns:
            How many were cancelled.
        """
        return int(
            self.run_with_common_args("cancel", [], [reason, int(from_list), queue, *job_ids], action=f"cancelling {len(job_ids)} jobs")
        )

    def apply_loss(self, need: str, *, passed: int, count: int) -> LossResult:
        """Cancel or hold up to ``count`` of the waiting jobs that need a lost service, after the first ``passed``.

        Call `compact_queue` for the queues in the result afterwards.
        """
        answer = self.run_with_common_args("apply_loss", [], [need, passed, count], action=f"dealing with the loss of {need}")
        looked_at, cancelled, held, waiting, queues = answer
        return LossResult(looked_at, cancelled, held, waiting, [name.decode() for name in queues])

    def compact_queue(self, queue: str) -> None:
        """Take jobs that are not queued any more out of the list of a queue, a part of the list at a time."""
        stay, more = 0, 1
        while more:
            keys, job = [rq_keys.queue(queue)], rq_keys.job("")
            stay, more = self.run("compact_queue", keys, [stay, COMPACT_AT_ONCE, job], action=f"compacting the queue {queue!r}")

    def hold_run(self, job_id: str, *, fence: str) -> str:
        """Hold a job whose run was stopped to be held. Returns ``held``, ``queued`` if its needs are back, or "" for any other run."""
        answer: bytes = self.run_with_common_args("hold_run", [], [job_id, fence], action=f"holding job {job_id}")
        return answer.decode()

    def release_held(self, queue: str, need: str, *, first: int, most: int) -> Released:
        """Put some held jobs back on their queue: ``first`` the first time, then twice as many each time, up to ``most``."""
        answer = self.run_with_common_args(
            "release_held", [], [queue, need, first, most], action=f"releasing the jobs that wait for {need}"
        )
        return Released(int(answer[0]), int(answer[1]), bool(answer[2]))

    def expire_holds(self, count: int) -> tuple[int, list[tuple[str, str]]]:
        """Cancel up to ``count`` jobs whose hold is over. If the clock of the server has jumped, all holds are moved with it first.

        Returns:
            How many holds were over, and the pairs of queue and need for which jobs are held.
        """
        args = [count, *self._watch.args()]
        over, pairs, now_ms = self.run_with_common_args("expire_holds", [], args, action="cancelling jobs whose hold is over")
        self._watch.answered(int(now_ms))
        return int(over), [pair for pair in map(_read_pair, pairs) if pair is not None]

    def check_run(self, job_id: str, *, fence: str) -> RunCheck:
        """Check whether a run may continue; if a service that it needs is lost, the run is marked as stopped in the same step."""
        answer: bytes = self.run_with_common_args("check_run", [], [job_id, fence], action=f"checking the run of job {job_id}")
        return RunCheck.read(answer.decode())

    def check_error(self, run: Run, error: NotifyError, *, heard: str = "") -> ErrorCheck:
        """Check whether an error that left the function of a job is the loss of a need; then the run is marked in the same step.

        Args:
            run: the run.
            error: the error, which says which service it is about.
            heard: `ErrorCheck.heard` of the check before; empty the first time.
        """
        needs = [*filter(None, [error.service]), *map(any_provider, error.capabilities)]
        timed_out = "1" if isinstance(error, RequestTimeoutError) else ""
        args = [run.job_id, run.fence, error.service, error.incarnation or "", timed_out, heard, *needs]
        answer: bytes = self.run_with_common_args("check_error", [], args, action=f"checking the error of job {run.job_id}")
        return ErrorCheck.read(answer.decode())

    def stop_run(self, job_id: str, *, reason: str) -> str:
        """Mark a running job as stopped.

        Returns:
            ``stopped``; ``ending`` if its end is being recorded, so that it is too late; ``missing``; or the status of a job that
            does not run.
        """
        return self.mark_stopped(job_id, reason=reason)[0]

    def mark_stopped(self, job_id: str, *, reason: str) -> tuple[str, str]:
        """Mark a running job as stopped. Returns the answer of `stop_run`, and the fence of its run if that may be still to begin."""
        status, fence = self.run("stop_run", [rq_keys.job(job_id)], [reason, KEEP_CANCELLED_MS], action=f"stopping job {job_id}")
        return status.decode(), fence.decode()

    def cancel_or_stop(self, job_id: str, *, reason: str) -> str:
        """Cancel a job that waits, or mark its run as stopped. Returns the fence of that run if it may be still to begin, or empty."""
        deadline = time.monotonic() + ENDING_S
        # Between the two scripts the job can start, end, or be queued again for a retry: then both are tried again.
        while not self.cancel([job_id], reason=reason):
            status, unbegun = self.mark_stopped(job_id, reason=reason)
            if status not in UNDECIDED or time.monotonic() > deadline:
                return unbegun
            time.sleep(0.002)
        return ""

    def answer_stop(self, run: Run) -> None:
        """Note that a stopped run has begun or will never begin, for `wait_until_begun_or_not`."""
        with self.client.translating(f"answering the stop of job {run.job_id}"):
            self.client.exchange("SET", self.keys.stop_answer(run.fence), "1", "PX", ANSWER_MS)

    def wait_until_begun_or_not(self, fence: str) -> None:
        """Wait until a stopped run has begun or will never begin: its worker answers, or the time is over within which it had to begin."""
        deadline, pause_s = time.monotonic() + UNBEGUN_S, 0.0005
        with self.client.translating("waiting for the answer to a stop"):
            while not self.client.exchange("EXISTS", self.keys.stop_answer(fence)) and time.monotonic() < deadline:
                time.sleep(pause_s)
                pause_s = min(0.02, 1.5 * pause_s)

    def is_run_by(self, worker: str, job_id: str, *, fence: str | None = None) -> bool:
        """Return whether the hash of a job names this worker, and this run if one is given: it runs there, or was stopped there."""
        with self.client.translating(f"reading which worker runs job {job_id}"):
            status, name, known = self.client.hmget(rq_keys.job(job_id), "status", "worker_name", "fence")
        return status in (b"started", b"stopped") and name == worker.encode() and (fence is None or known == fence.encode())

    def seal_run(self, job_id: str, *, fence: str) -> bool:
        """Decide that a run ends by itself. Returns false if it was stopped or superseded before."""
        return bool(self.run("seal_run", [rq_keys.job(job_id)], [fence], action=f"finishing job {job_id}"))


def _read_pair(encoded: bytes) -> tuple[str, str] | None:
    """Return a pair of queue and need; ``None`` if another program wrote it."""
    try:
        return _pair.decode(encoded)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
