"""What a run leaves behind in Redis whose announcement is late, lost, or taken back, step by step on a server."""

from typing import Any

import pytest

import notify
from tests.support.sample_jobs import add
from tests.workers.conftest import claim_next
from workers import Queue, rq_keys
from workers.scripts import ClaimScripts, Ended, Fences, Refill, RefillCall, Run


class Worker:
    """The claims of a worker without processes."""

    def __init__(self, bus: notify.Bus) -> None:
        self.client, self.fences = bus.redis, Fences()
        self.claims = ClaimScripts(self.client, "w", heartbeat_s=30, idle_s=480, result_ttl_s=500)

    def refill(self, wanted: int, *, ended: tuple[Ended, ...] = ()) -> Refill:
        number = self.fences.take(max(1, wanted))
        return self.claims.refill(RefillCall(["rq:queue:work"], ended=ended, line=(), wanted=wanted, fences=self.fences, number=number))

    def announce(self, run: Run) -> None:
        """What is done for a run that is at work for longer than most."""
        self.claims.give_back([], line=[run], goes_on=run, ttl_s=90)


@pytest.fixture
def worker(bus: notify.Bus) -> Worker:
    return Worker(bus)


def traces(bus: notify.Bus) -> list[Any]:
    return sorted(bus.redis.scan_iter("rq:execution*"))


def statuses(events: notify.Subscriber, count: int) -> list[str]:
    """That many statuses; fails if there are more."""
    found: list[Any] = [events.get(5) for _ in range(count)]
    assert events.get(0.02) is None
    return [event.contents["status"] for event in found]


def test_a_run_that_was_claimed_alone_and_is_given_back_leaves_no_record(bus: notify.Bus, worker: Worker, queue: Queue) -> None:
    with bus.subscribe("job.work") as events:
        job, behind = queue.enqueue(add), queue.enqueue(add)
        claim_next(bus, fence="f")
        assert len(traces(bus)) == 2, "the twin: that is what has to go"
        assert worker.claims.give_back([Run(job.id, "f")], line=[]) == set()
        assert (traces(bus), queue.get_job_ids(), queue.started_job_registry.get_job_ids()) == ([], [job.id, behind.id], [])
        assert statuses(events, 4) == ["enqueued", "enqueued", "started", "enqueued"]


def test_a_run_whose_failure_is_recorded_is_not_announced_after_that(bus: notify.Bus, worker: Worker, queue: Queue) -> None:
    """The horse records a failure by itself, while the worker finds that the run is no short one."""
    queue.enqueue(add)
    run = worker.refill(1).claims[0].run
    with bus.subscribe("job.work") as events:
        bus.redis.hset(rq_keys.job(run.job_id), "status", "failed")
        worker.announce(run)
        assert (traces(bus), statuses(events, 0)) == ([], [])
        bus.redis.hset(rq_keys.job(run.job_id), "status", "started")
        worker.announce(run)  # the twin
        assert (len(traces(bus)), statuses(events, 1)) == (2, ["started"])


@pytest.mark.parametrize("is_done", [True, False])
@pytest.mark.parametrize("kind", ["protected", "twin"])
def test_an_end_tells_of_its_start_once_although_an_answer_was_lost(
    bus: notify.Bus, worker: Worker, queue: Queue, is_done: bool, kind: str
) -> None:
    """Nobody knows whether the server has announced the run. The twin takes the other case for granted."""
    queue.enqueue(add)
    run = worker.refill(1).claims[0].run
    with bus.subscribe("job.work") as events:
        if is_done:
            worker.announce(run)
        worker.refill(0, ended=(Ended(run, 1.0, 2.0, is_announced=None if kind == "protected" else not is_done),))
        if kind == "protected":
            assert (traces(bus), statuses(events, 2)) == ([], ["started", "finished"])
        elif is_done:
            assert (len(traces(bus)), statuses(events, 3)) == (2, ["started", "started", "finished"])
        else:
            assert statuses(events, 1) == ["finished"]


def test_a_superseded_run_stays_with_the_worker_as_long_as_rq_lists_it(bus: notify.Bus, worker: Worker, queue: Queue) -> None:
    """If the worker dies before it removes the traces of the run, a reaper finds them."""
    job = queue.enqueue(add)
    run = worker.refill(1).claims[0].run
    bus.redis.hset(rq_keys.job(job.id), mapping={"status": "queued", "fence": "another"})
    for is_listed in (True, False):
        assert worker.claims.give_back([run], line=[]) == {job.id}
        assert bus.redis.hget(rq_keys.worker("w"), "ahead") == (f"{job.id}:{run.fence}".encode() if is_listed else None)
        bus.redis.delete(rq_keys.started("work"))


@pytest.mark.parametrize("gives_back", [True, False])
def test_a_worker_whose_name_another_one_has_leaves_that_ones_runs_alone(
    bus: notify.Bus, worker: Worker, queue: Queue, gives_back: bool
) -> None:
    """It was frozen between the look at its name and this call; each process has a beginning of fences of its own."""
    queue.enqueue_many([Queue.prepare_data(add) for _ in range(2)])
    own = worker.refill(1).claims[0].run
    successors = Worker(bus).refill(1).claims[0].run
    if gives_back:
        worker.claims.give_back([own], line=[])
    else:
        worker.announce(own)
    held = bus.redis.hmget(rq_keys.worker("w"), "current_job", "ahead")
    assert held == [successors.job_id.encode(), f"{successors.job_id}:{successors.fence}".encode()]
