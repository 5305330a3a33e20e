"""The reaper: retries or fails the job of a dead worker, and removes the worker from RQ's registries."""

import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import redis

from notify.server import Client
from workers import rq_keys
from workers.jobs import Job, Outcome, lazy_job, owe_on_failure, owe_on_stopped, publish_outcome, read_outcome, worker_died
from workers.queue import Queue
from workers.rq import JobStatus
from workers.scripts import JobScripts, RecordScripts, Run, RunScripts, runs_in

__all__ = ["Reaper"]

STARTED: Final = JobStatus.STARTED.encode()
STOPPED: Final = JobStatus.STOPPED.encode()
ANNOUNCED_S: Final = 60
"""Seconds for which RQ's record of a run is kept whose end is about to be recorded."""

log = logging.getLogger(__name__)


class Reaper:
    """Reaps dead workers. If several reapers reap the same worker at once, its run is still ended only once.

    Args:
        client: the client of the calling thread.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._scripts = JobScripts(client)

    def reap(self, worker: str, job_id: str, *, birth: str = "") -> None:
        """End the runs of a dead worker, and remove the worker from RQ's registries.

        The lease of the worker is removed last, so that another reaper continues if this one dies.

        Args:
            worker: the name of the dead worker.
            job_id: the job it was running when it was found dead, or empty. If it runs another job by now, it is alive, and nothing
                is done.
            birth: when it was registered, as RQ writes it. If another worker has the name by now, nothing is done. By default any.

        Raises:
            ServerError: Redis did not answer, or refused; call again.
        """
        with self._client.translating(f"reaping worker {worker}"):
            raw: Any = self._client.hmget(rq_keys.worker(worker), "current_job", "queues", "birth", "ahead")
            current, queues, born = (value.decode(errors="replace") if value else "" for value in raw[:3])
            if birth and birth != born:
                return
            if current != job_id:  # the worker was only frozen, and will renew its lease itself
                log.warning("worker %s is alive again after it was silent for too long", worker)
                return
            log.warning("worker %s is dead%s", worker, f" and was running job {current}" if current else "")
            names = queues.split(",")
            # What the worker had claimed and not begun is queued again by its last will. What is still here may have begun.
            ahead = runs_in(raw[3])
            jobs = [*filter(None, [current]), *(run.job_id for run in ahead)]
            for job in reversed(dict.fromkeys(reversed(jobs))):  # in the order of their last runs: the others are superseded
                self._reap_job(worker, job)
                self._remove_runs(worker, job, names, known=[run for run in ahead if run.job_id == job])
            self._remove(worker, names, birth=born)

    def end_run(self, worker: str, job_id: str, *, fence: str = "") -> None:
        """End a run of a worker as if the worker had died: the job is tried again, or fails. Errors as for `reap`.

        Args:
            worker: the name of the worker.
            job_id: the job.
            fence: the run; if another one has the job by now, nothing is done. By default any run of the worker.
        """
        with self._client.translating(f"ending the run of job {job_id}"):
            self._reap_job(worker, job_id, fence=fence)

    def end_abandoned(self, run: Run, queue: str) -> None:
        """End a run that RQ lists as started and whose worker has no lease, as if the worker had died. Errors as for `reap`."""
        with self._client.translating(f"ending the run of job {run.job_id}"):
            raw: Any = self._client.hmget(rq_keys.job(run.job_id), "worker_name", "fence", "stopped")
            worker, *fences = (value.decode(errors="replace") if value else "" for value in raw)
            if worker and (run.fence in fences or not any(fences)):  # a worker of plain RQ writes no fence
                self._reap_job(worker, run.job_id)
            with self._client.pipeline() as pipe:
                _remove_run(pipe, run, queue)
                pipe.execute()

    def _reap_job(self, worker: str, job_id: str, *, fence: str = "") -> None:
        raw: Any = self._client.hmget(rq_keys.job(job_id), "stopped", "worker_name", "fence")
        stopped, name, current = raw
        if fence and fence.encode() not in (stopped, current):
            return
        # If another worker has the job by now, the process of its run may be alive.
        if stopped is not None and name == worker.encode():
            self._scripts.hold_run(
                job_id, fence=stopped.decode(errors="replace")
            )  # does nothing unless the run was stopped in order to hold the job

        if stopped is None and name == worker.encode():
            run = Run(job_id, (current or b"").decode(errors="replace"))
            RunScripts(self._client).announce_run(worker, run, ttl_s=ANNOUNCED_S)  # of its start nobody may have heard yet

        def end_run(pipe: Any) -> _Failed | None:
            return self._end_run(pipe, worker, job_id, fence=fence)

        # With WATCH: if the worker was only frozen and writes the job meanwhile, the transaction starts again.
        transact: Any = self._client.transaction
        failed: _Failed | None = transact(end_run, rq_keys.job(job_id), value_from_callable=True)
        if failed is not None:
            failed.queue.enqueue_dependents(failed.job)

    def _end_run(self, pipe: Any, worker: str, job_id: str, *, fence: str) -> "_Failed | None":
        """Add the commands that end the run of the worker to a transaction. Return the job if it ends with the run; else ``None``."""
        fields: dict[bytes, bytes] = pipe.hgetall(rq_keys.job(job_id))
        if fields.get(b"worker_name") != worker.encode():
            return None
        run = Run(job_id, fields.get(b"fence", fields.get(b"stopped", b"")).decode(errors="replace"))
        if fence and run.fence != fence:
            return None
        origin = fields.get(b"origin", b"").decode(errors="replace")
        is_stopped = fields.get(b"status") == STOPPED and _is_open(pipe, run, origin)
        if fields.get(b"status") != STARTED and not is_stopped:
            pipe.multi()
            _remove_run(pipe, run, origin)
            return None
        job, queue = self._read(job_id, fields, origin), Queue(origin, connection=self._client)
        is_retried = job.should_retry and not is_stopped
        seconds, microseconds = pipe.time()
        now = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)
        pipe.multi()
        if is_retried:
            failed = None
            retried = {"status": "retried", "reason": worker_died(worker, at_ms=0).reason}
            RecordScripts(self._client).publish_event(origin, job_id, retried, worker=worker, pipeline=pipe)
            _retry(pipe, job, queue, now)
        else:
            died = worker_died(worker, at_ms=round(now.timestamp() * 1000))
            failed = _Failed(job, queue, read_outcome(fields.get(b"outcome"), otherwise="stopped") if is_stopped else died)
            _fail(pipe, failed, run, worker, now)
            publish_outcome(self._client, job, failed.outcome, worker=worker, pipeline=pipe)
        if is_stopped:
            owe_on_stopped(self._client, job, run, pipeline=pipe)
        else:
            owe_on_failure(self._client, job, run, worker_died(worker, at_ms=0).reason, pipeline=pipe)
        pipe.hdel(job.key, "fence")  # a worker that was only frozen can no longer write to fenced states
        _remove_run(pipe, run, origin)
        return failed

    def _read(self, job_id: str, fields: dict[bytes, bytes], origin: str) -> Job:
        job = lazy_job(Job, job_id, fields, connection=self._client, functions={})
        job.origin = job.origin or origin  # it cannot be read, if another program wrote it
        return job

    def _remove_runs(self, worker: str, job_id: str, queues: list[str], *, known: list[Run]) -> None:
        """Remove other runs of the worker, of a job that was enqueued again since: RQ would take the job for abandoned because of them."""
        fences: Any = self._client.zrange(rq_keys.executions(job_id), 0, -1)
        for run in [*known, *(Run(job_id, fence.decode(errors="replace")) for fence in fences)]:
            if run in known or self._client.hget(rq_keys.execution(f"{job_id}:{run.fence}"), "worker_name") == worker.encode():
                with self._client.pipeline() as pipe:
                    for name in queues:
                        _remove_run(pipe, run, name)
                    pipe.execute()

    def _remove(self, worker: str, queues: list[str], *, birth: str) -> None:
        key = rq_keys.worker(worker)
        with self._client.pipeline() as pipe:
            pipe.watch(key)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            known: Any = pipe.hget(key, "birth")
            if known is not None and known.decode(errors="replace") != birth:
                return  # another worker has taken the name
            pipe.multi()
            pipe.srem(rq_keys.WORKERS, key)
            for name in queues:
                pipe.srem(rq_keys.workers(name), key)
            pipe.delete(key)
            pipe.zrem(self._scripts.keys.leases, worker)
            with suppress(redis.WatchError):  # it is alive, or another worker has taken the name; else a reaper comes again
                pipe.execute()


class _Failed(NamedTuple):
    """A job that ends with the run of the dead worker: it fails, or had been stopped."""

    job: Job
    queue: Queue
    outcome: Outcome


def _retry(pipe: Any, job: Job, queue: Queue, now: datetime) -> None:
    interval_s = job.get_retry_interval()
    if not interval_s:
        job.retry(queue, pipe)
        return
    # The same as RQ's retry, which would write the status outside the transaction.
    job.retries_left = (job.retries_left or 1) - 1
    job.set_status(JobStatus.SCHEDULED, pipeline=pipe)
    queue.schedule_job(job, now + timedelta(seconds=interval_s), pipeline=pipe)


def _fail(pipe: Any, failed: _Failed, run: Run, worker: str, now: datetime) -> None:
    job, _, outcome = failed
    job.ended_at = now
    job.set_status(JobStatus.FAILED, pipeline=pipe)
    times: dict[str, Any] = {"execution_started_at": job.started_at, "execution_ended_at": now}
    job._handle_failure(outcome.reason, pipe, worker_name=worker, execution_id=run.fence, **times)


def _is_open(pipe: Any, run: Run, origin: str) -> bool:
    """Return whether the end of a run is not recorded yet."""
    return pipe.zscore(rq_keys.started(origin), f"{run.job_id}:{run.fence}") is not None


def _remove_run(pipe: Any, run: Run, origin: str) -> None:
    execution = f"{run.job_id}:{run.fence}"
    pipe.zrem(rq_keys.started(origin), execution)
    pipe.delete(rq_keys.execution(execution))
    pipe.zrem(rq_keys.executions(run.job_id), run.fence)
