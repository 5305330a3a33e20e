"""Enqueueing: jobs that are accepted, and jobs that are cancelled at once because a service is missing."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis
import rq
from rq.job import JobStatus

import notify
from notify.keys import Keys
from tests.support import sample_jobs
from tests.support.faults import commands_during
from tests.support.queued_jobs import index, run_scheduler, waiting
from tests.support.sample_jobs import add, add_with_svc, fail, hold
from tests.workers.conftest import Effects, StartWorkers, next_mishap
from workers import DuplicateJobError, Job, Outcome, Queue, Why, job
from workers.jobs.call import JsonSerializer

GONE = "svc was not there when it was enqueued"


def test_a_job_that_needs_nothing_waits_in_the_queue(queue: Queue, bus: notify.Bus) -> None:
    queued = queue.enqueue(add, "x")
    assert (waiting(queue), queued.get_status(), queued.outcome) == ([queued.id], JobStatus.QUEUED, None)
    assert not list(bus.redis.scan_iter("notify:needs:*"))


def test_a_job_whose_service_is_there_waits_and_is_in_its_index(queue: Queue, bus: notify.Bus) -> None:
    with bus.service("svc"):
        queued = queue.enqueue(add_with_svc)
        assert (waiting(queue), index(bus)) == ([queued.id], [queued.id])
        assert 0 < bus.redis.pttl(bus.keys.needs("svc")) <= 30 * 86_400_000


def test_a_job_whose_service_is_absent_is_cancelled_at_once_and_never_waits(queue: Queue, bus: notify.Bus) -> None:
    refusals: list[Job] = []
    commands = commands_during(bus.redis, lambda: refusals.append(queue.enqueue(add_with_svc)))
    pushes = [command for command in commands if command.split()[0] in ("RPUSH", "LPUSH")]
    (refused,) = refusals
    outcome = refused.outcome
    assert outcome is not None
    assert (outcome.status, outcome.reason, outcome.need) == ("cancelled", GONE, "svc")
    assert (waiting(queue), pushes, index(bus)) == ([], [], [])
    assert refused.get_status() == JobStatus.CANCELED
    assert refused.id in queue.canceled_job_registry


def test_a_missing_service_is_published_on_the_topic_of_the_queue(queue: Queue, bus: notify.Bus, collect: Callable[..., Any]) -> None:
    with bus.subscribe("job.work") as events:
        refused = queue.enqueue(add_with_svc)
        (event,) = collect(events, 1)
    outcome = refused.outcome
    assert outcome is not None
    assert event.contents == {
        "job": refused.id,
        "status": "cancelled",
        "reason": GONE,
        "need": "svc",
        "at_ms": outcome.at_ms,
        "why": {"rule": "on_loss=cancel"},
    }


def test_a_cancelled_job_is_kept_for_a_day(queue: Queue, bus: notify.Bus) -> None:
    refused = queue.enqueue(add_with_svc)
    assert 86_000 < bus.redis.ttl(refused.key) <= 86_400


def test_the_outcome_names_the_missing_one_of_several_services(queue: Queue, bus: notify.Bus) -> None:
    with bus.service("here"):
        refused = queue.enqueue(add, needs=["here", "missing"])
    assert refused.outcome is not None
    assert refused.outcome.need == "missing"


def test_needs_at_the_call_replace_those_of_the_definition(queue: Queue, bus: notify.Bus) -> None:
    with bus.service("other"):
        assert queue.enqueue(add_with_svc, needs="other").outcome is None
        assert queue.enqueue(add_with_svc, needs=[]).outcome is None
        assert index(bus, "other") == waiting(queue)[:1]
    assert index(bus, "svc") == []


def test_on_loss_at_the_call_replaces_that_of_the_definition(queue: Queue) -> None:
    queued = queue.enqueue(add_with_svc, on_loss="ignore")
    assert queued.outcome is None
    assert Job.fetch(queued.id, connection=queue.connection).on_loss == "ignore"


def test_another_serializer_for_a_queue_is_overruled(bus: notify.Bus) -> None:
    assert Queue("work", connection=bus.redis, serializer="pickle").serializer is JsonSerializer


def test_a_queue_on_a_plain_connection_uses_the_default_namespace(bus: notify.Bus, server: Any) -> None:
    with redis.Redis.from_url(server.url) as client, bus.service("svc"):
        queued = Queue("work", connection=client).enqueue(add_with_svc)
        assert client.zrange(Keys("notify").needs("svc"), 0, -1) == [queued.id.encode()]


@pytest.mark.parametrize("needs", ["", "svc"])
def test_a_job_is_unique_by_its_id(queue: Queue, bus: notify.Bus, needs: str) -> None:
    options: Any = {"needs": needs or (), "job_id": "one", "unique": True}
    with bus.service("svc"):
        queue.enqueue(hold, "x", **options)
        with pytest.raises(DuplicateJobError, match="'one'"):
            queue.enqueue(hold, "x", **options)
        assert waiting(queue) == ["one"]
        assert index(bus) == (["one"] if needs else [])


def test_a_unique_job_without_its_service_does_not_replace_the_first_one(queue: Queue) -> None:
    queue.enqueue(hold, "first", job_id="one", unique=True)
    with pytest.raises(DuplicateJobError, match="'one'"):
        queue.enqueue(add_with_svc, job_id="one", unique=True)
    assert (waiting(queue), Job.fetch("one", connection=queue.connection).args) == (["one"], ["first"])


def test_a_unique_job_whose_service_is_absent_is_cancelled(queue: Queue) -> None:
    outcome = queue.enqueue(add_with_svc, job_id="one", unique=True).outcome
    assert outcome is not None
    assert (outcome.status, outcome.need, waiting(queue)) == ("cancelled", "svc", [])


def test_a_job_put_at_the_front_is_checked_too(queue: Queue, bus: notify.Bus) -> None:
    assert queue.enqueue(add_with_svc, at_front=True).outcome is not None
    with bus.service("svc"):
        first = queue.enqueue(add_with_svc)
        second = queue.enqueue(add_with_svc, at_front=True)
        assert waiting(queue) == [second.id, first.id]


def test_each_job_of_enqueue_many_is_checked(queue: Queue, bus: notify.Bus) -> None:
    calls = [Queue.prepare_data(add_with_svc), Queue.prepare_data(add), Queue.prepare_data(add_with_svc)]
    refused, free, refused_too = queue.enqueue_many(calls)
    assert [refused.get_status(), refused_too.get_status()] == [JobStatus.CANCELED] * 2
    assert waiting(queue) == [free.id]
    with bus.service("svc"):
        accepted = queue.enqueue_many(calls)
        assert waiting(queue) == [free.id, *(j.id for j in accepted)]
        assert sorted(index(bus)) == sorted([accepted[0].id, accepted[2].id])


def test_a_pipeline_enqueues_and_indexes_when_it_is_executed(queue: Queue, bus: notify.Bus) -> None:
    with bus.service("svc"), bus.redis.pipeline() as pipeline:
        queued = queue.enqueue(add_with_svc, pipeline=pipeline)
        assert (waiting(queue), index(bus)) == ([], [])
        pipeline.execute()
        assert (waiting(queue), index(bus)) == ([queued.id], [queued.id])


def test_a_job_in_a_pipeline_is_cancelled_if_its_service_is_absent(queue: Queue, bus: notify.Bus) -> None:
    with bus.redis.pipeline() as pipeline:
        refused = queue.enqueue(add_with_svc, pipeline=pipeline)
        pipeline.execute()
    assert (waiting(queue), refused.get_status()) == ([], JobStatus.CANCELED)


def test_enqueue_call_and_enqueue_job_check_the_needs_too(queue: Queue) -> None:
    assert queue.enqueue_call(add_with_svc).get_status() == JobStatus.CANCELED
    assert queue.enqueue_job(queue.create_job(add_with_svc)).get_status() == JobStatus.CANCELED
    assert waiting(queue) == []


def test_a_dependent_job_is_checked_when_its_turn_comes(
    queue: Queue, bus: notify.Bus, start_workers: StartWorkers, effects: Effects
) -> None:
    with bus.service("svc"):
        first = queue.enqueue(hold, "first")
        dependent = queue.enqueue(add_with_svc, depends_on=first)
        assert dependent.get_status() == JobStatus.DEFERRED
        start_workers()
        effects.wait_for("first:begun")
    effects.let_go("first")
    outcome = dependent.wait(10)
    assert outcome is not None
    assert (outcome.status, outcome.need, effects["added"]) == ("cancelled", "svc", 0)
    assert dependent.id not in queue.deferred_job_registry


def test_a_dependent_job_whose_service_is_there_runs(queue: Queue, bus: notify.Bus, start_workers: StartWorkers, effects: Effects) -> None:
    with bus.service("svc"):
        dependent = queue.enqueue(add_with_svc, depends_on=queue.enqueue(add, "first"))
        start_workers()
        assert dependent.wait(10) == Outcome("finished")
    assert (effects["first"], effects["added"]) == (1, 1)


def test_a_retry_is_checked_too(queue: Queue, bus: notify.Bus, start_workers: StartWorkers, effects: Effects) -> None:
    with bus.service("svc"):
        queued = queue.enqueue(sample_jobs.hold_and_fail, "x", needs="svc", on_loss="drain", retry=rq.Retry(max=3))
        start_workers()
        effects.wait_for("x:begun")
    effects.let_go("x")
    outcome = queued.wait(10)
    assert outcome is not None
    assert (outcome.status, outcome.need, effects["x:begun"]) == ("cancelled", "svc", 1)


def test_a_retry_runs_again_while_its_service_is_there(
    queue: Queue, bus: notify.Bus, start_workers: StartWorkers, effects: Effects
) -> None:
    with bus.service("svc"):
        queued = queue.enqueue(fail, needs="svc", retry=rq.Retry(max=2))
        start_workers()
        assert queued.wait(10) == Outcome("failed", "RuntimeError: it went wrong", why=Why("raised"))
    assert effects["failed"] == 3


def test_a_job_scheduled_after_its_service_came_back_starts(
    queue: Queue, bus: notify.Bus, start_workers: StartWorkers, effects: Effects
) -> None:
    with bus.service("svc"):
        pass
    with bus.service("svc"):
        scheduled = queue.enqueue_in(timedelta(seconds=-1), add_with_svc)
        run_scheduler(bus)
        start_workers()
        assert scheduled.wait(10) == Outcome("finished")


def test_a_scheduled_job_is_checked_when_its_time_comes(
    queue: Queue, bus: notify.Bus, start_workers: StartWorkers, effects: Effects
) -> None:
    with bus.service("svc"):
        scheduled = queue.enqueue_in(timedelta(seconds=-1), add_with_svc)
    with bus.service("svc"):
        run_scheduler(bus)
        start_workers()
        outcome = scheduled.wait(10)
    assert outcome is not None
    assert (outcome.status, outcome.need, effects["added"]) == ("cancelled", "svc", 0)


def test_jobs_that_need_a_service_can_be_cancelled_together(queue: Queue, bus: notify.Bus) -> None:
    with bus.service("svc"), bus.service("other"):
        ours = [queue.enqueue(add_with_svc) for _ in range(3)]
        others = [queue.enqueue(add), queue.enqueue(add, needs="other")]
        elsewhere = Queue("elsewhere", connection=bus.redis).enqueue(add_with_svc)
        assert queue.cancel(needs="svc", reason="closing time") == 3
        assert queue.cancel(needs="svc") == 0
    outcomes = [j.outcome for j in ours]
    assert [(o.status, o.reason) for o in outcomes if o] == [("cancelled", "closing time")] * 3
    assert (waiting(queue), index(bus)) == ([j.id for j in others], [elsewhere.id])


def test_more_jobs_than_one_script_takes_are_cancelled_together(queue: Queue, bus: notify.Bus) -> None:
    with bus.service("svc"):
        queue.enqueue_many([Queue.prepare_data(add_with_svc) for _ in range(250)])
        assert queue.cancel(needs="svc") == 250
    assert (waiting(queue), index(bus), len(queue.canceled_job_registry)) == ([], [], 250)


def test_jobs_are_cancelled_together_with_a_reason_in_words(queue: Queue, bus: notify.Bus) -> None:
    with bus.service("svc"):
        queued = queue.enqueue(add_with_svc)
        queue.cancel(needs="svc")
    assert queued.outcome is not None
    assert queued.outcome.reason == "jobs that need svc were cancelled"


@pytest.mark.parametrize("on_loss", ["cancel", "drain", "ignore"])
@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_loss_follows_the_policy_of_the_job(
    queue: Queue, bus: notify.Bus, start_workers: StartWorkers, effects: Effects, on_loss: Any, state: str
) -> None:
    expected = {
        ("queued", "cancel"): ("cancelled", 0),
        ("queued", "drain"): ("cancelled", 0),
        ("queued", "ignore"): ("finished", 1),
        ("running", "cancel"): ("stopped", 0),
        ("running", "drain"): ("finished", 1),
        ("running", "ignore"): ("finished", 1),
    }
    with bus.service("svc"), bus.subscribe("job.work") as events:
        queued = queue.enqueue(hold, "x", needs="svc", on_loss=on_loss)
        if state == "running":
            start_workers()
            effects.wait_for("x:begun")
        bus.directory.kill("svc", why="test")
        if state == "queued":
            start_workers()
        status, done = expected[state, on_loss]
        if status != "finished":
            assert next_mishap(events) is not None  # its end is decided before the job is released
        effects.let_go("x")
        outcome = queued.wait(10)
    assert outcome is not None
    assert (outcome.status, outcome.need, effects["x:done"]) == (status, None if done else "svc", done)


@job("work", needs="svc")
def of_this_module() -> None: ...


def test_a_path_names_a_function_but_not_its_needs(queue: Queue) -> None:
    assert queue.enqueue("tests.workers.queue.test_queue.of_this_module").outcome is None
    assert queue.enqueue("tests.workers.queue.test_queue.of_this_module", needs="svc").outcome is not None


def test_the_keys_of_a_failed_job_expire(queue: Queue, bus: notify.Bus, start_workers: StartWorkers) -> None:
    start_workers()
    job = queue.enqueue(fail)
    assert job.wait(10)
    assert all(bus.redis.ttl(key) > 0 for key in bus.redis.scan_iter(f"*{job.id}*"))


def test_a_waiting_id_that_is_enqueued_again_waits_once(queue: Queue, bus: notify.Bus) -> None:
    queue.enqueue(add, "first", job_id="one")
    other = queue.enqueue(add)
    queue.enqueue(add, "second", job_id="one")
    assert waiting(queue) == [other.id, "one"]
    assert Job.fetch("one", connection=bus.redis).args == ["second"]
