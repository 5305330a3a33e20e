"""Jobs whose hashes are spoilt: a worker refuses each that cannot be run, where an operator sees it, and goes on."""

import hashlib
from collections.abc import Iterator

import pytest
import rq

import notify
from notify import NotifyError
from notify.server import scripts
from tests.support.spoilt import Spoiling, spoilings
from tests.support.workers_here import ModelWorker, act, make_worker
from tests.workers.conftest import claim_next
from workers import Job, Outcome, Queue, explain, find_jobs
from workers.scripts import ClaimScripts

WITH_TONUMBER = "local function whole(value, default)\n  if true then return tonumber(value or '') or default end"


@pytest.fixture
def worker(bus: notify.Bus) -> Iterator[ModelWorker]:
    worker = make_worker(bus, "w2")
    yield worker
    worker.teardown()


@pytest.fixture
def queue_of_twin(bus: notify.Bus) -> Queue:
    return Queue("q0", connection=bus.redis)


def work(worker: ModelWorker) -> None:
    """Have the worker run all jobs of its queue, as RQ's loop does."""
    while (claimed := worker.dequeue_job_and_maintain_ttl(None)) is not None:
        worker.execute_job(*claimed)


def enqueue_rich(queue: Queue, number: int) -> Job:
    """A job that has all fields that a job can have while it waits."""
    return queue.enqueue(
        act,
        job_id=f"spoilt-{number}",
        needs="svc",
        on_loss="hold",
        max_hold_s=60,
        grace_s=1,
        retry=rq.Retry(max=1, interval=[0]),
        ttl=600,
        result_ttl=600,
        failure_ttl=600,
        meta={"a": 1},
        at_front=True,
    )


def test_whatever_stands_in_a_job_the_worker_lives_and_an_operator_sees_it(bus: notify.Bus, worker: ModelWorker) -> None:
    """Each field of a real job, with each value; the fields are those that the job has, so that new ones are covered."""
    queue = Queue("q0", connection=bus.redis)
    with bus.service("svc"):
        count = len(list(spoilings(bus.redis, enqueue_rich(queue, 0).key.encode())))
        done: dict[str, Spoiling] = {}
        for number in range(count):
            job = enqueue_rich(queue, number)
            spoiling = list(spoilings(bus.redis, job.key.encode()))[number]
            spoiling.spoil()
            done[job.id] = spoiling
        listed = {job.id for job in find_jobs(bus.redis)}
        assert listed >= set(done)
        healthy = queue.enqueue(act)
        work(worker)
        assert healthy.outcome == Outcome("finished")
        problems = {}
        for job_id, spoiling in done.items():
            problem = unseen(bus, job_id, spoiling)
            if problem:
                problems[f"{spoiling.place} {spoiling.what}"] = problem
        kept = bus.redis.llen(queue.key)
        bus.redis.flushall()
    assert problems == {}
    assert kept == 0


def test_the_twin_with_tonumber_one_spoilt_number_ends_the_claim_and_loses_the_job(
    bus: notify.Bus, queue_of_twin: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counter-example: `tonumber` takes nan, and Redis refuses the command after it when half of the step is done."""
    with bus.service("svc"):
        spoilt = queue_of_twin.enqueue(act, needs="svc", on_loss="hold", max_hold_s=60)
    bus.redis.hset(spoilt.key, "max_hold_ms", "nan")
    source = ClaimScripts(bus.redis, "twin", heartbeat_s=30, idle_s=480, result_ttl_s=500).source("claim")
    naive = source.replace("local function whole(value, default, least, most)", WITH_TONUMBER).replace("pcall(begin,", "true, begin(")
    loaded, twin = scripts.load_script, (naive, hashlib.sha1(naive.encode()).hexdigest())  # noqa: S324
    monkeypatch.setattr(scripts, "load_script", lambda *which: twin if "claim" in which else loaded(*which))
    with pytest.raises(notify.ServerRefusedError, match="float"):
        claim_next(bus, "q0")
    assert claim_next(bus, "q0").answer == ""
    assert bus.redis.smembers(bus.keys.held_pairs) == set()


def unseen(bus: notify.Bus, job_id: str, spoiling: Spoiling) -> str:
    """Why an operator would not see what became of a job; empty if it finished, or failed with a reason."""
    try:
        job = Job.fetch(job_id, connection=bus.redis)
    except NotifyError as exc:
        return "" if spoiling.changes_type else f"it cannot be fetched: {exc}"
    outcome = job.outcome
    said = explain(bus, job)
    if outcome is None:
        return f"it has not ended: {said}"
    if outcome.status == "failed" and (not outcome.reason or not said.count(outcome.reason)):
        return f"explain does not say why it failed: {said}"
    if outcome.status == "failed" and bus.redis.zscore("rq:failed:q0", job_id) is None:
        return f"it is not among the failed jobs: {outcome.reason}"
    return ""
