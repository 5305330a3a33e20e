"""The error of a job about a service that it needs is the loss of that service, by the table of the README; and what is not."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from unittest import mock

import pytest
import rq

import notify
from notify.directory.scripts import DirectoryScripts
from notify.testing import wait_until
from tests.support.lost_calls import ERRORS, catch, fail, fail_from, grow_old, lone_worker, miss, order, run_next, table
from tests.support.workers_here import ModelWorker
from tests.workers.conftest import Effects, StartWorkers
from workers import Job, Outcome, Queue
from workers.loss.held import HeldJobs
from workers.worker import perform

COLUMNS: dict[str, list[dict[str, Any]]] = {
    "`hold`": [{"on_loss": "hold"}, {"on_loss": "hold", "grace_s": 60}],
    "`cancel`": [{"on_loss": "cancel"}],
    "`cancel` within `grace_s`": [{"on_loss": "cancel", "grace_s": 60}],
    "`drain`, `ignore`": [{"on_loss": "drain"}, {"on_loss": "ignore"}],
}
ENDS = table()


@pytest.fixture
def worker(bus: notify.Bus) -> Iterator[ModelWorker]:
    made = lone_worker(bus)
    yield made
    made.hang_up()
    made._horse.close()


def end_of(job: Job) -> str:
    outcome = job.outcome
    return outcome.status if outcome is not None else "held" if job.held else str(job.get_status().value)


def test_the_table_names_every_error_and_policy() -> None:
    assert {(name, head) for name in ERRORS for head in COLUMNS} == set(ENDS)


@pytest.mark.parametrize(("error", "column"), [pytest.param(*cell, id=f"{cell[0]} {cell[1]}") for cell in ENDS])
def test_a_job_that_fails_because_a_service_is_gone_ends_as_the_table_says(
    bus: notify.Bus, another_bus: notify.Bus, queue: Queue, worker: ModelWorker, effects: Effects, error: str, column: str
) -> None:
    for policy in COLUMNS[column]:
        with another_bus.service("svc", ttl_s=0.6):
            job = queue.enqueue(fail, error, needs="svc", **policy)
            run_next(worker)
            assert end_of(job) == ENDS[error, column], policy
        job.cancel()
    outcome = job.outcome
    assert outcome is not None
    if ENDS[error, column] == "stopped":
        assert (outcome.reason, outcome.need, outcome.why and outcome.why.rule) == ("svc is gone", "svc", "on_loss=cancel")


def test_without_the_check_the_same_errors_fail_the_job(
    another_bus: notify.Bus, queue: Queue, worker: ModelWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twin: so 4 of 20 orders were lost, all those whose call failed before their worker knew of the loss."""
    monkeypatch.setattr(perform, "lost_need", lambda *_: "")
    for error in ERRORS:
        with another_bus.service("svc"):
            job = queue.enqueue(fail, error, needs="svc", on_loss="hold")
            run_next(worker)
            assert end_of(job) == "failed"


def test_an_error_that_was_raised_from_one_about_a_service_counts(another_bus: notify.Bus, queue: Queue, worker: ModelWorker) -> None:
    with another_bus.service("svc"):
        job = queue.enqueue(fail_from, "ServiceKilledError", needs="svc", on_loss="hold")
        run_next(worker)
    assert end_of(job) == "held"


def test_a_job_that_catches_the_error_has_finished(another_bus: notify.Bus, queue: Queue, worker: ModelWorker) -> None:
    with another_bus.service("svc"):
        job = queue.enqueue(catch, "ServiceKilledError", needs="svc", on_loss="hold")
        run_next(worker)
    assert (end_of(job), job.return_value()) == ("finished", "done without")


def test_an_error_about_a_service_that_the_job_does_not_need_fails_it(another_bus: notify.Bus, queue: Queue, worker: ModelWorker) -> None:
    with another_bus.service("svc"), another_bus.service("other"):
        job = queue.enqueue(fail, "ServiceKilledError", needs="other", on_loss="hold")
        run_next(worker)
    assert end_of(job) == "failed"


def test_a_held_job_runs_again_when_the_service_is_back_and_that_is_no_attempt(
    bus: notify.Bus, another_bus: notify.Bus, queue: Queue, worker: ModelWorker, effects: Effects
) -> None:
    with another_bus.service("svc"):
        job = queue.enqueue(fail, "ServiceKilledError", needs="svc", on_loss="hold", retry=None)
        run_next(worker)
    holds = HeldJobs(bus.redis)
    with another_bus.service("svc"):
        holds.run()
        assert end_of(job) == "queued"
        run_next(worker)
    assert (end_of(job), effects["ServiceKilledError:begun"], worker.failed_job_count) == ("held", 2, 0)


def test_a_job_whose_provider_is_gone_is_queued_again_if_there_is_another(
    another_bus: notify.Bus, queue: Queue, worker: ModelWorker, effects: Effects
) -> None:
    need = notify.provides("print")
    with another_bus.service("one", provides={"print"}), another_bus.service("two", provides={"print"}):
        job, cancelled = queue.enqueue(miss, "one", needs=need, on_loss="hold"), queue.enqueue(miss, "two", needs="two", on_loss="hold")
        run_next(worker)
        assert (end_of(job), queue.job_ids) == ("queued", [job.id, cancelled.id])
        job.cancel()
        run_next(worker)
        assert end_of(cancelled) == "held"


@pytest.mark.parametrize("kind", ["timeout", "not found"])
def test_the_error_about_an_overdue_service_holds_the_job(
    bus: notify.Bus, another_bus: notify.Bus, queue: Queue, worker: ModelWorker, kind: str
) -> None:
    """Nobody has withdrawn it: the clock decides. If it sends a heartbeat after all, the job runs again."""
    with another_bus.service("svc", ttl_s=20):
        job = queue.enqueue(grow_old, kind, needs="svc", on_loss="hold")
        run_next(worker)
        assert end_of(job) == "held"


def test_a_service_that_only_answers_late_is_no_loss(bus: notify.Bus, another_bus: notify.Bus, queue: Queue, worker: ModelWorker) -> None:
    """The worker waits for one heartbeat, which shows that the service lives."""
    with another_bus.service("svc", ttl_s=0.3):
        job = queue.enqueue(fail, "RequestTimeoutError, and the service is slow", needs="svc", on_loss="hold")
        with mock.patch.object(worker._horse._child._scripts, "check_error", wraps=worker._horse._child._scripts.check_error) as checks:
            run_next(worker)
    assert end_of(job) == "failed"
    assert checks.call_count > 1


def test_a_service_that_is_silent_from_now_on_is_a_loss(bus: notify.Bus, queue: Queue, worker: ModelWorker) -> None:
    """It was killed a moment ago, so its last heartbeat is fresh: the answer is known when its ttl is over."""
    incarnation = DirectoryScripts(bus.redis).register("svc", ttl_ms=400, provides=(), groups=(), fields={})
    job = queue.enqueue(fail, "RequestTimeoutError, and the service is slow", needs="svc", on_loss="hold")
    run_next(worker)
    assert end_of(job) == "held"
    bus.directory.withdraw("svc", incarnation, reason="expired")


@pytest.mark.parametrize(("on_loss", "end"), [("hold", "held"), ("cancel", "stopped")])
def test_a_job_that_rq_performs_ends_in_the_same_way(
    bus: notify.Bus, another_bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, on_loss: Any, end: str
) -> None:
    """A job with a retry, in a real worker: the hold uses none of its attempts."""
    start_workers(modules=("tests.support.lost_calls",))
    with another_bus.service("svc"):
        job = queue.enqueue(fail, "ServiceKilledError", needs="svc", on_loss=on_loss, retry=rq.Retry(max=3))
        wait_until(lambda: end_of(job) == end, timeout_s=10)
    assert (effects["ServiceKilledError:begun"], Job.fetch(job.id, connection=bus.redis).retries_left) == (1, 3)


@pytest.mark.usefixtures("each_window")
def test_no_order_is_lost_however_often_the_shop_is_killed(
    bus: notify.Bus, another_bus: notify.Bus, queue: Queue, start_workers: StartWorkers
) -> None:
    """Real workers, whose calls fail at any moment. `test_without_the_check_...` is the twin."""
    calls: list[int] = []

    class Shop:
        def sell(self, number: int) -> int:
            calls.append(number)
            if len(calls) % 3 == 0:
                with suppress(notify.ServiceNotFoundError):
                    bus.directory.kill("shop")  # before it answers
            return number

    with another_bus.service("shop"):
        orders = [queue.enqueue(order, number) for number in range(20)]
    start_workers(2, modules=("tests.support.lost_calls",))
    for _ in range(40):
        with another_bus.service("shop", exports=Shop()):
            wait_until(lambda: all(one.outcome for one in orders) or "shop" not in bus.directory, timeout_s=20)
        if all(one.outcome for one in orders):
            break
    assert [one.outcome for one in orders] == [Outcome("finished")] * 20
