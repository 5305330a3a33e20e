"""How a job ended, and why."""

from typing import Any

import msgspec
import pytest

import notify
from tests.support.sample_jobs import add, fail, hold, kill_yourself
from tests.workers.conftest import Effects, StartWorkers, claim_next
from workers import Job, Outcome, Queue, Why
from workers.jobs.outcome import failure, worker_died
from workers.scripts.jobs import JobScripts


@pytest.mark.parametrize(
    ("reason", "rule"),
    [
        ("RuntimeError: it went wrong", "raised"),
        ("", "raised"),
        ("rq.timeouts.JobTimeoutException: Task exceeded maximum timeout value (1 seconds)", "timeout"),
        ("its worker w-1 died", "worker died"),
        ("Work-horse terminated unexpectedly; waitpid returned 9 (signal 9); ", "process died"),
    ],
)
def test_the_rule_of_a_failure_is_derived_from_rqs_text(reason: str, rule: str) -> None:
    assert failure(reason) == Outcome("failed", reason, why=Why(rule))


def test_the_text_about_a_dead_worker_gives_the_rule_worker_died() -> None:
    assert worker_died("w-1", at_ms=7) == Outcome("failed", "its worker w-1 died", at_ms=7, why=Why("worker died"))


def test_an_outcome_stored_without_a_why_can_be_read() -> None:
    kept = b'{"status":"stopped","reason":"svc is gone","need":"svc","at_ms":7}'
    assert msgspec.json.decode(kept, type=Outcome) == Outcome("stopped", "svc is gone", "svc", 7)


def why(job: Job) -> Why:
    assert job.outcome is not None
    assert job.outcome.why is not None
    return job.outcome.why


@pytest.mark.parametrize("need", ["svc", notify.provides("print")])
@pytest.mark.parametrize("state", ["at its enqueue", "waiting", "running"])
def test_a_loss_names_the_service_its_incarnation_the_event_and_the_time_since(
    bus: notify.Bus, queue: Queue, need: Any, state: str
) -> None:
    with bus.subscribe("svc_status") as events:
        with bus.service("svc", provides={"print"}) as service:
            incarnation = service.incarnation
            job = queue.enqueue(add, needs=need) if state != "at its enqueue" else None
            run = claim_next(bus).run if state == "running" else None
            bus.directory.kill("svc", why="out of paper")
        failures = [event for event in iter(lambda: events.get(0.2), None) if isinstance(event.contents, notify.Failure)]
    job = job or queue.enqueue(add, needs=need)
    if run is not None:
        JobScripts(bus.redis).check_run(run.job_id, fence=run.fence)
    claim_next(bus)
    found = why(job)
    assert (found.rule, found.service, found.incarnation, found.event) == ("on_loss=cancel", "svc", incarnation, failures[0].id)
    assert found.after_ms is not None
    assert 0 <= found.after_ms < 10_000


def test_a_service_that_never_existed_gives_only_the_rule(queue: Queue) -> None:
    assert why(queue.enqueue(add, needs="svc", on_loss="drain")) == Why("on_loss=drain")


def test_a_cancel_by_a_caller_is_no_loss(bus: notify.Bus, queue: Queue) -> None:
    waiting, running = queue.enqueue(add), queue.enqueue(add)
    assert claim_next(bus).job_id == waiting.id
    for job in (running, waiting):
        job.cancel("enough")
        assert why(job) == Why("asked")


@pytest.mark.any_server
def test_an_error_a_timeout_and_a_death_have_different_rules(queue: Queue, start_workers: StartWorkers) -> None:
    start_workers()
    jobs = [queue.enqueue(fail), queue.enqueue(hold, "x", job_timeout=1), queue.enqueue(kill_yourself)]
    for job in jobs:
        job.wait(15)
    assert [why(job).rule for job in jobs] == ["raised", "timeout", "process died"]


def test_a_job_that_finished_has_no_why(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    start_workers()
    assert queue.enqueue(add).wait(10) == Outcome("finished")
