"""Jobs that depend on jobs which end without success: what RQ offers, cancelling them, and saying so."""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
import rq
from rq.job import Dependency

import notify
from notify.testing import wait_until
from tests.support.sample_jobs import add, fail, hold
from tests.workers.conftest import Effects, StartWorkers
from workers import Job, JobDefinitionError, Outcome, Queue, explain, rq_keys, stuck_jobs
from workers.schedule.dependents import Dependents


@pytest.fixture
def leader(bus: notify.Bus) -> Dependents:
    return Dependents(bus.redis)


def chain(queue: Queue, parent: Job) -> tuple[Job, Job]:
    """A job that depends on the parent, and one that depends on that; both are to be cancelled with it."""
    child = queue.enqueue(add, "child", depends_on=parent, on_dependency_failure="cancel")
    return child, queue.enqueue(add, "grandchild", depends_on=child, on_dependency_failure="cancel")


def assert_cancelled(parent: Job, child: Job, grandchild: Job, how: str) -> None:
    reasons = [f"job {parent.id}, on which it depends, {how}", f"job {child.id}, on which it depends, was cancelled"]
    for job, reason in zip((child, grandchild), reasons, strict=True):
        outcome = job.outcome
        assert outcome is not None
        assert (outcome.status, outcome.reason, outcome.why and outcome.why.rule) == ("cancelled", reason, "dependency")


ENDS: dict[str, tuple[Callable[[notify.Bus, Job], object], str]] = {
    "cancel": (lambda _, parent: parent.cancel(), "was cancelled"),
    "the loss of a service": (lambda bus, _: bus.directory.kill("svc"), "was cancelled"),
    "expiry": (lambda bus, parent: bus.redis.delete(parent.key), "no longer exists"),
    "a failure that nobody told": (lambda bus, parent: bus.redis.hset(parent.key, "status", "failed"), "failed"),
    "a stop that nobody told": (lambda bus, parent: bus.redis.hset(parent.key, "status", "stopped"), "was stopped"),
}


@pytest.mark.parametrize("end", ENDS)
def test_dependents_are_cancelled_in_turn_however_their_dependency_ends(
    bus: notify.Bus, another_bus: notify.Bus, queue: Queue, leader: Dependents, start_workers: StartWorkers, end: str
) -> None:
    """The leader finds what nobody told it, so it does not matter whether a worker died before it could."""
    act, how = ENDS[end]
    with another_bus.service("svc"):
        parent = queue.enqueue(add, needs="svc")
        child, grandchild = chain(queue, parent)
        leader.run()
        assert (child.outcome, grandchild.outcome) == (None, None)
        act(bus, parent)
    if end == "the loss of a service":
        start_workers(queues=("another",))  # one of them applies the loss, and leads
    wait_until(lambda: leader.run() and grandchild.outcome is not None, timeout_s=10)
    assert_cancelled(parent, child, grandchild, how)
    leader.run()
    assert not bus.redis.exists(bus.keys.dependents)
    assert not queue.deferred_job_registry.get_job_ids()


def test_a_dependent_that_waits_stays_where_it_is(bus: notify.Bus, queue: Queue, leader: Dependents) -> None:
    """Twin, and the default, as with RQ: nothing ever starts or ends it."""
    parent = queue.enqueue(add)
    jobs = [queue.enqueue(add, depends_on=parent, **options) for options in ({}, {"on_dependency_failure": "wait"})]
    parent.cancel()
    leader.run()
    assert [job.outcome for job in jobs] == [None, None]
    assert {stuck.job.id for stuck in stuck_jobs(bus.redis)} == {job.id for job in jobs}


@pytest.mark.parametrize("end", ["failure", "stop", "kill"])
def test_real_ends_of_a_run_cancel_the_dependents(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, end: str
) -> None:
    pool = start_workers(lease_s=1.0)
    if end == "kill":
        start_workers(queues=("another",), lease_s=1.0)
    with bus.subscribe("job.work") as events:
        parent = queue.enqueue(fail) if end == "failure" else queue.enqueue(hold, "x")
        child, grandchild = chain(queue, parent)
        if end != "failure":
            effects.wait_for("x:begun")
        if end == "stop":
            parent.cancel()
        elif end == "kill":
            os.kill(pool.processes[0].pid, signal.SIGKILL)
        wait_until(lambda: grandchild.outcome is not None, timeout_s=15)
        assert_cancelled(parent, child, grandchild, "was stopped" if end == "stop" else "failed")
        told: list[Any] = [event.contents for event in iter(lambda: events.get(0.2), None)]
    assert [each["job"] for each in told if each["status"] == "cancelled"] == [child.id, grandchild.id]


def test_a_job_that_depends_on_one_that_failed_already_is_cancelled_at_once(bus: notify.Bus, queue: Queue) -> None:
    parent = queue.enqueue(add)
    parent.cancel()
    child, grandchild = chain(queue, parent)
    assert_cancelled(parent, child, grandchild, "was cancelled")


def test_dependents_start_when_all_they_wait_for_finished_even_if_some_are_gone(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, leader: Dependents
) -> None:
    """The result of the first is not kept, so its hash is gone at once: it has finished all the same."""
    short, long = queue.enqueue(add, result_ttl=0), queue.enqueue(hold, "x")
    child = queue.enqueue(add, "child", depends_on=[short, long], on_dependency_failure="cancel")
    start_workers()
    effects.wait_for("x:begun")
    wait_until(lambda: not bus.redis.exists(short.key))
    leader.run()
    assert child.outcome is None
    effects.let_go("x")
    assert child.wait(10) == Outcome("finished")
    wait_until(lambda: not bus.redis.exists(bus.keys.dependents), timeout_s=5)


def test_what_rq_offers_is_taken(bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    """A failure that is allowed starts the dependent; at the front, if it says so."""
    parent = queue.enqueue(fail)
    allowed = Dependency([parent], allow_failure=True, enqueue_at_front=True)
    child = queue.enqueue(add, "child", depends_on=allowed, on_dependency_failure="cancel")
    assert (child.allow_dependency_failures, child.enqueue_at_front) == (True, True)
    start_workers()
    assert child.wait(10) == Outcome("finished")


def test_explain_says_why_a_dependent_will_not_start(bus: notify.Bus, queue: Queue) -> None:
    parent, other = queue.enqueue(add), queue.enqueue(add)
    child = queue.enqueue(add, depends_on=[parent, other])
    assert explain(bus, child).endswith(f"It waits for the jobs that it depends on: {parent.id} (queued), {other.id} (queued).")
    parent.cancel()
    assert f"It will not start by itself: job {parent.id}, on which it depends, was cancelled." in explain(bus, child)
    assert f"notify job retry {parent.id}" in explain(bus, child)
    (stuck,) = stuck_jobs(bus.redis, queue="work")
    assert (stuck.job.id, str(stuck.dependency)) == (child.id, f"job {parent.id}, on which it depends, was cancelled")
    bus.redis.delete(parent.key)
    assert list(stuck_jobs(bus.redis)) == []  # RQ starts it when the other one has finished
    bus.redis.hset(rq_keys.job(other.id), "status", "failed")
    assert [stuck.dependency.job_id for stuck in stuck_jobs(bus.redis)] == [other.id]


@pytest.mark.parametrize("options", [{"on_dependency_failure": "cancel"}, {"on_dependency_failure": "explode", "depends_on": "x"}])
def test_an_option_that_has_no_effect_is_refused(queue: Queue, options: dict[str, Any]) -> None:
    with pytest.raises(JobDefinitionError, match="on_dependency_failure"):
        queue.enqueue(add, **options)
    assert rq.Queue("work", connection=queue.connection).count == 0
