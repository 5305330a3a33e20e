"""Checks of jobs, queues and workers: runs that nobody runs, jobs that nobody can run, the leader, recurring jobs."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from notify.values import counted
from workers import rq_keys
from workers.jobs import read_jobs
from workers.overview.cron import cron_jobs
from workers.overview.doctor.facts import Facts
from workers.overview.doctor.finding import Finding, error, ok, warning
from workers.overview.fleet import WorkerInfo, find_workers
from workers.overview.paging import queue_names
from workers.overview.queue_info import QueueInfo, queues

__all__ = ["check_cron", "check_leader", "check_queues", "check_runs"]

MOST_RUNS: Final = 1_000
"""At most so many runs of a queue are looked at."""
SAMPLE: Final = 200
"""So many waiting jobs of a queue are looked at: those that are next."""
SHOWN: Final = 5
LATE_S: Final = 60.0
"""A recurring job that is due for longer is missed."""

_names: Final = msgspec.json.Decoder(list[str])


def check_runs(facts: Facts) -> Iterator[Finding]:
    """Look for jobs that count as running although their worker is dead."""
    client, lost, total = facts.client, [], 0
    for queue in queue_names(client):
        members: Any = client.zrange(rq_keys.started(queue), 0, MOST_RUNS - 1)
        ids = [member.decode(errors="replace").partition(":")[0] for member in members]
        total += len(ids)
        with client.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hget(rq_keys.job(job_id), "worker_name")
            workers = [name.decode(errors="replace") if isinstance(name, bytes) else "" for name in pipe.execute(raise_on_error=False)]
            for name in workers:
                pipe.exists(rq_keys.worker(name))
                pipe.zscore(facts.keys.leases, name)
            rows = pipe.execute(raise_on_error=False)
        for job_id, name, exists, lease_ms in zip(ids, workers, rows[::2], rows[1::2], strict=True):
            is_plain_rq = exists == 1 and lease_ms is None  # its hash expires when it is dead
            if name not in facts.living_workers and not is_plain_rq:
                lost.append(job_id)
    if not lost:
        yield ok("runs", f"{_jobs(total, 'run')}, each on a living worker" if total else "no job runs")
        return
    what = f"{_jobs(len(lost), 'count')} as running, without a living worker: {_shown(lost)}"
    if facts.living_workers:
        yield warning("runs", what, "wait a few seconds: a living worker ends these runs, and tries the jobs again if a retry is left")
    else:
        yield error("runs", what, "start a worker: it ends these runs, and tries the jobs again if a retry is left")


def check_queues(facts: Facts) -> Iterator[Finding]:
    """Look for waiting jobs without a worker, without a worker that has their function loaded, or on a paused queue."""
    client = facts.client
    workers = [worker for worker in find_workers(client) if worker.state != "lost"]
    suspended = bool(client.exists(rq_keys.suspended()))
    if suspended:
        yield warning("queues", "all workers are suspended: they take no jobs", "end that with: rq resume")
    found = [queue for queue in queues(client) if queue.queued]
    problems = [problem for queue in found for problem in _problems_of(facts, queue, workers)]
    yield from problems
    if not problems and not suspended:
        waiting, latency_s = sum(queue.queued for queue in found), max((queue.latency_s or 0.0 for queue in found), default=None)
        said = f"{_jobs(waiting, 'wait')}{_since(latency_s)}, each for a worker that can run it"
        yield ok("queues", said if waiting else "no job waits")


def _problems_of(facts: Facts, queue: QueueInfo, workers: Sequence[WorkerInfo]) -> Iterator[Finding]:
    listening = [worker for worker in workers if queue.queue in worker.queues]
    waiting = f"{_jobs(queue.queued, 'wait')} on {queue.queue!r}{_since(queue.latency_s)}"
    if queue.paused:
        yield warning("queues", f"{waiting}; it is paused: no worker takes them", f"end that with: notify queues resume {queue.queue}")
    if not listening:
        yield error("queues", f"{waiting}, and no worker listens to it", f"start one: notify worker {queue.queue}")
        return
    loaded = _functions_of(facts, listening)
    if loaded is None:
        return  # a worker of plain RQ imports what a job names
    ids: Any = facts.client.lrange(rq_keys.queue(queue.queue), 0, SAMPLE - 1)
    wanted = {job.func_name for job in read_jobs(facts.client, [each.decode(errors="replace") for each in ids]) if not job.problem}
    missing = sorted(str(name) for name in wanted if name and name not in loaded)
    if missing:
        yield error(
            "queues",
            f"{waiting}, and no worker of it has loaded {_shown(missing)}: jobs that call it will fail",
            f"start one with its module: notify worker {queue.queue} --import {missing[0].rpartition('.')[0]}",
        )


def _functions_of(facts: Facts, workers: Sequence[WorkerInfo]) -> set[str] | None:
    """Return the functions that workers have loaded; ``None`` if one of them does not say."""
    with facts.client.pipeline(transaction=False) as pipe:
        for worker in workers:
            pipe.hget(rq_keys.worker(worker.name), "functions")
        rows: list[Any] = pipe.execute(raise_on_error=False)
    found: set[str] = set()
    for row in rows:
        try:
            found.update(_names.decode(row))
        except (TypeError, msgspec.DecodeError, UnicodeDecodeError):
            return None
    return found


def check_leader(facts: Facts) -> Iterator[Finding]:
    """Look whether one of the workers leads: it schedules, enqueues recurring jobs, and releases held ones."""
    if not facts.living_workers:
        yield ok("leader", "no worker of Notify runs, and none has to lead")
        return
    leader: Any = facts.client.get(facts.keys.leader)
    name = leader.decode(errors="replace") if isinstance(leader, bytes) else ""
    if name in facts.living_workers:
        yield ok("leader", f"worker {name} leads {counted(len(facts.living_workers), 'worker')}")
    else:
        who = f"the leader {name} is dead" if name else "no worker leads"
        yield warning(
            "leader", f"{who}: nobody schedules jobs", "wait a few seconds: another worker leads when the lease of the leader is over"
        )


def check_cron(facts: Facts) -> Iterator[Finding]:
    """Look for recurring jobs that were missed."""
    found = cron_jobs(facts.client)
    late = [job for job in found if job.is_due and facts.clock_s - job.next.timestamp() > LATE_S]
    for job in found:
        if job.alarm is not None:
            what = f"{job.function} is due, and no worker listens to {job.queue!r} since {job.alarm:%Y-%m-%d %H:%M:%S} UTC"
            yield error("cron", what, f"start one: notify worker {job.queue}")
        elif job in late:
            remedy = f"start a worker that has loaded it: notify worker {job.queue} --import {job.function.rpartition('.')[0]}"
            yield error("cron", f"{job.function} is due since {job.next:%Y-%m-%d %H:%M:%S} UTC, and was not enqueued", remedy)
    if not late and not any(job.alarm for job in found):
        yield ok("cron", f"{counted(len(found), 'recurring job')}, none was missed" if found else "there is no recurring job")


def _jobs(count: int, verb: str) -> str:
    return f"1 job {verb}s" if count == 1 else f"{count:,} jobs {verb}"


def _since(latency_s: float | None) -> str:
    return "" if latency_s is None else f" for {latency_s:,.0f} s"


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
