"""Listings of queues and jobs."""

import pytest

import notify
from notify.testing import wait_until
from tests.support.sample_jobs import add, fail, hold
from workers import Job, JobDefinitionError, Queue, QueueNotFoundError, find_jobs, queues


def _ids(bus: notify.Bus, **which: str) -> list[str]:
    return [job.id for job in find_jobs(bus.redis, **which)]


def test_without_any_job_there_is_no_queue(bus: notify.Bus) -> None:
    assert queues(bus.redis) == []
    assert _ids(bus) == []


def test_jobs_are_found_in_queue_order_over_many_pages(bus: notify.Bus, queue: Queue) -> None:
    made = [queue.enqueue(add).id for _ in range(250)]
    assert _ids(bus) == made
    assert _ids(bus, queue="work", status="queued") == made
    queue.empty()


def test_jobs_are_found_by_the_service_they_need_and_by_queue(bus: notify.Bus, queue: Queue) -> None:
    other = Queue("other", connection=bus.redis)
    with bus.service("svc"):
        mine, others = queue.enqueue(add, needs="svc"), other.enqueue(add, needs="svc")
        queue.enqueue(add)
        assert _ids(bus, needs="svc", queue="work") == [mine.id]
        assert set(_ids(bus, needs="svc")) == {mine.id, others.id}
        assert _ids(bus, needs="nobody") == []


def test_a_deleted_job_is_skipped_and_an_unreadable_one_says_so(bus: notify.Bus, queue: Queue) -> None:
    gone, spoilt, sound = queue.enqueue(add), queue.enqueue(add), queue.enqueue(add)
    bus.redis.delete(gone.key)
    bus.redis.hset(spoilt.key, "on_loss", "no policy")
    bus.redis.hset(spoilt.key, "needs", "no JSON")
    assert {job.id: job.problem for job in find_jobs(bus.redis)} == {
        spoilt.id: "its field on_loss is 'no policy', not a policy",
        sound.id: "",
    }


def test_an_unknown_queue_and_an_unknown_status_are_errors(bus: notify.Bus, queue: Queue) -> None:
    queue.enqueue(add)
    with pytest.raises(QueueNotFoundError, match=r"no queue 'nope'.*there are work"):
        _ids(bus, queue="nope")
    with pytest.raises(JobDefinitionError, match="choose one of queued"):
        _ids(bus, status="nope")


def test_found_jobs_are_jobs_of_ours(bus: notify.Bus, queue: Queue) -> None:
    queue.enqueue(add)
    assert all(isinstance(job, Job) for job in find_jobs(bus.redis))


def test_stopped_and_failed_are_distinct_and_cancelled_is_understood(bus: notify.Bus, queue: Queue, start_workers, effects) -> None:
    start_workers()
    failed, cancelled = queue.enqueue(fail), queue.enqueue(add, needs="nobody")
    assert failed.wait(10)
    stopped = queue.enqueue(hold, "gate")
    effects.wait_for("gate:begun")
    stopped.cancel()
    wait_until(lambda: _ids(bus, status="stopped") == [stopped.id])
    assert _ids(bus, status="failed") == [failed.id]
    assert _ids(bus, status="cancelled") == _ids(bus, status="canceled") == [cancelled.id]


def test_jobs_that_need_a_service_are_found_in_every_status(bus: notify.Bus, queue: Queue, start_workers, effects) -> None:
    with bus.service("svc"):
        start_workers()
        finished = queue.enqueue(add, needs="svc")
        assert finished.wait(10)
        running = queue.enqueue(hold, "gate", needs="svc")
        effects.wait_for("gate:begun")
        waiting = [queue.enqueue(add, needs="svc").id for _ in range(120)]
        assert sorted(_ids(bus, needs="svc", status="queued")) == sorted(waiting)
        *first, last = _ids(bus, needs="svc")
        assert (sorted(first), last) == (sorted(waiting), running.id)
        assert _ids(bus, needs="svc", status="started") == [running.id]
        assert _ids(bus, needs="svc", status="finished") == [finished.id]
        assert _ids(bus, needs="svc", status="failed") == []
        queue.empty()
        effects.let_go("gate")


def test_a_held_job_and_a_dependent_job_are_each_listed_once(bus: notify.Bus, queue: Queue, start_workers, effects) -> None:
    with bus.service("svc"):
        start_workers()
        running = queue.enqueue(hold, "gate", needs="svc", on_loss="drain")
        effects.wait_for("gate:begun")
        dependent = queue.enqueue(add, needs="svc", depends_on=running)
        waiting = queue.enqueue(add, needs="svc", on_loss="hold")
        assert _ids(bus, needs="svc", status="deferred") == [dependent.id]
        assert _ids(bus, needs="svc", status="held") == []
    wait_until(lambda: waiting.held is not None)
    held = [waiting.id, queue.enqueue(add, needs="svc", on_loss="hold").id]
    assert _ids(bus, needs="svc", status="held") == _ids(bus, status="held") == held
    effects.let_go("gate")
