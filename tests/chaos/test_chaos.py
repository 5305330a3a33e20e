"""A short chaos, and the proof that its account tells what is wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import notify
from notify.testing import wait_until
from tests.chaos.account import Order, account_for
from tests.chaos.events import _delivery
from tests.chaos.jobs import JOURNAL, Step, read_journal
from tests.chaos.mixed import out_of_order, run_mixed
from tests.chaos.run import run_chaos
from tests.workers.conftest import StartWorkers, start_workers  # noqa: F401  # the fixture
from workers import Queue, rq_keys

ORDERS = [Order(f"job-{number}", False, False, "cancel", 0) for number in range(5)]


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_every_job_and_event_is_accounted_for_after_kills_of_everything() -> None:
    """Workers, horses, fork servers and a service are killed, workers freeze, the server is killed and restarted: each at least once."""
    report = run_chaos(seed=7, jobs=250, workers=3, faults=20, window=32)
    assert report.account.faults == []
    assert [delivery.faults for delivery in report.deliveries] == [[], [], []]
    assert {"worker", "service", "server"} <= {*report.faults}


@pytest.mark.slow
@pytest.mark.any_server
@pytest.mark.timeout(150)
def test_short_and_long_jobs_in_batches_end_once_and_in_order_whatever_is_killed() -> None:
    """Two in five jobs are on queues of one worker each: those that are not tried again begin in their order."""
    report = run_mixed(seed=3, jobs=800, horses=4, faults=10, window=32)
    assert report.account.faults == []
    assert {"worker", "horse", "host", "server"} <= {*report.faults}


@pytest.mark.parametrize(
    ("begun", "events", "wrong"),
    [
        ("abc", {}, ""),
        ("acb", {}, "b"),
        ("acb", {"b": ["enqueued", "retried"]}, ""),
        ("acb", {"b": ["enqueued", "enqueued"]}, ""),
        ("bca", {"b": ["retried"]}, "a"),
        ("abab", {}, ""),
    ],
)
def test_the_order_of_a_queue_of_one_worker_is_that_of_the_first_begin_of_each_job(
    begun: str, events: dict[str, list[str]], wrong: str
) -> None:
    orders = [Order(name, False, False, "cancel", 0, "own") for name in "abc"]
    told = {name: events.get(name, ["enqueued"]) for name in "abc"}
    found = [*out_of_order(orders, [Step("begun", name, "run") for name in begun], "own", told)]
    assert [each[0] for each in found] == list(wrong)


@pytest.fixture
def steps(bus: notify.Bus, start_workers: StartWorkers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Step]:  # noqa: F811
    """The notes of jobs that ended without any fault."""
    journal = tmp_path / "journal"
    monkeypatch.setenv(JOURNAL, str(journal))
    queue = Queue("chaos", connection=bus.redis)
    jobs = queue.enqueue_many([Queue.prepare_data("tests.chaos.jobs.work", [0.0], job_id=order.job_id) for order in ORDERS])
    pool = start_workers(queues=("chaos",), modules=("tests.chaos.jobs",))
    for job in jobs:
        job.wait(15)
    wait_until(lambda: not any(bus.redis.scan_iter("rq:execution:*")))
    pool.close(grace_s=5)
    return read_journal(journal)


def test_the_account_of_jobs_without_faults_is_in_order(bus: notify.Bus, steps: list[Step]) -> None:
    account = account_for(bus, ORDERS, steps)
    assert (account.faults, account.outcomes, account.runs, account.reruns) == ([], {"finished": 5}, 5, 0)


def _run_twice(bus: notify.Bus, steps: list[Step]) -> None:
    steps += [Step("begun", "job-0", "another")]


def _start_twice(bus: notify.Bus, steps: list[Step]) -> None:
    bus.publish("job.chaos", {"job": "job-0", "status": "started"})


def _finish_without_a_run(bus: notify.Bus, steps: list[Step]) -> None:
    del steps[:]


def _stay_started(bus: notify.Bus, steps: list[Step]) -> None:
    bus.redis.hset(rq_keys.job("job-0"), "status", "started")


def _end_twice(bus: notify.Bus, steps: list[Step]) -> None:
    bus.publish("job.chaos", {"job": "job-0", "status": "failed"})


def _write_after_a_successor(bus: notify.Bus, steps: list[Step]) -> None:
    first = steps[0].run
    steps.append(Step("begun", steps[0].job, "another"))
    bus.state("chaos")[steps[0].job] = [["another", 1], [first, 2]]


def _stay_on_the_queue(bus: notify.Bus, steps: list[Step]) -> None:
    bus.redis.rpush(rq_keys.queue("chaos"), "job-0")


def _leave_a_run(bus: notify.Bus, steps: list[Step]) -> None:
    bus.redis.zadd(rq_keys.started("chaos"), {"job-0:fence": 1})


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (_run_twice, "it began 2 times, and was started 1 times"),
        (_start_twice, "it started again, and was neither retried nor held"),
        (_finish_without_a_run, "it has finished, but no run came to its end"),
        (_stay_started, "it has no end"),
        (_end_twice, "the events of its end are ['finished', 'failed']"),
        (_write_after_a_successor, "a superseded run wrote after its successor"),
        (_stay_on_the_queue, "the queue still holds"),
        (_leave_a_run, "it is in the registries"),
    ],
)
def test_the_account_tells_what_is_wrong(bus: notify.Bus, steps: list[Step], spoil: Callable[..., None], fault: str) -> None:
    """The twins: each spoils what the account must find."""
    spoil(bus, steps)
    assert any(fault in each for each in account_for(bus, ORDERS, steps).faults)


def _event(contents: int) -> notify.Event:
    return notify.Event(topic="chaos", contents=contents)


GAP = notify.Gap("chaos", "trimmed", None, None)


@pytest.mark.parametrize(
    ("items", "is_well"),
    [
        ([_event(0), _event(1), _event(2)], True),
        ([_event(0), GAP, _event(2)], True),
        ([_event(0), _event(2)], False),
        ([_event(0), _event(1), _event(1), _event(2)], False),
        ([_event(0), _event(1)], False),
        ([_event(1), _event(0), _event(2)], False),
    ],
)
def test_the_account_of_a_subscriber_knows_what_is_lost_or_comes_twice(items: list[Any], is_well: bool) -> None:
    assert (_delivery([0, 1, 2], items, 0).faults == []) is is_well
