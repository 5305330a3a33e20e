"""The job events on the topic of a queue."""

from collections.abc import Callable
from typing import Any

import pytest

import notify
from notify.settings import JOB_EVENTS
from notify.testing import PrivateServer
from tests.support.sample_jobs import add, add_with_svc, fail
from tests.workers.conftest import StartWorkers, claim_next
from workers import Outcome, Queue, Why
from workers.jobs.outcome import publish_outcome
from workers.loss.held import HeldJobs
from workers.scripts.jobs import JobScripts
from workers.scripts.run import Ended

Connect = Callable[..., notify.Bus]


def events_of(bus: notify.Bus, queue: str = "work") -> list[dict[str, Any]]:
    """All events so far."""
    with bus.subscribe(f"job.{queue}", since="start") as events:
        found: list[Any] = list(iter(lambda: events.get(0.1), None))
    return [event.contents for event in found]


def live_through_all(bus: notify.Bus) -> None:
    """Take jobs through every transition that the scripts publish."""
    queue, scripts = Queue("work", connection=bus.redis), JobScripts(bus.redis)
    queue.enqueue(add)
    run = claim_next(bus).run
    claim_next(bus, ended=Ended(run, 1.0, 2.0))
    queue.enqueue(add_with_svc)
    queue.enqueue(add_with_svc, on_loss="hold")
    with bus.service("svc"):
        HeldJobs(bus.redis).run()
        run = claim_next(bus).run
    scripts.check_run(run.job_id, fence=run.fence)
    scripts.hold_run(run.job_id, fence=run.fence)


LIFE = ["enqueued", "started", "finished", "cancelled", "held", "released", "started", "held"]


def test_each_transition_of_a_job_is_published_with_its_details(bus: notify.Bus, queue: Queue) -> None:
    live_through_all(bus)
    events = events_of(bus)
    assert [event["status"] for event in events] == LIFE
    assert all(event.pop("job") and event.pop("at_ms") > 1_000_000_000_000 for event in events)
    enqueued, started, finished, cancelled, held, released, _, held_again = events
    assert enqueued == {"status": "enqueued"}
    assert (started, finished) == ({"status": "started", "worker": "w"}, {"status": "finished", "worker": "w"})
    assert (cancelled["need"], cancelled["why"]) == ("svc", {"rule": "on_loss=cancel"})
    assert held == {"status": "held", "need": "svc", "why": {"rule": "on_loss=hold"}}
    assert released == {"status": "released", "need": "svc"}
    assert (held_again["why"]["service"], sorted(held_again["why"])) == (
        "svc",
        ["after_ms", "event", "incarnation", "rule", "service"],
    )


def test_the_event_of_a_hold_says_until_when(bus: notify.Bus, queue: Queue) -> None:
    job = queue.enqueue(add_with_svc, on_loss="hold", max_hold_s=50)
    (event,) = events_of(bus)
    assert event["until_ms"] == event["at_ms"] + 50_000 == bus.redis.zscore(bus.keys.holds, job.id)


@pytest.mark.parametrize("chosen", ["all", "none", *JOB_EVENTS, "held,released", "stopped,failed"])
def test_the_published_statuses_can_be_chosen(server: PrivateServer, bus: notify.Bus, connect_to: Connect, chosen: str) -> None:
    choosy = connect_to(server, job_events=chosen)
    live_through_all(choosy)
    expected = [status for status in LIFE if chosen == "all" or status in chosen.split(",")]
    assert [event["status"] for event in events_of(bus)] == expected
    assert bus.redis.exists(bus.keys.log("job.work")) == bool(expected)


@pytest.mark.parametrize(("chosen", "tells"), [("all", True), ("stopped", True), ("none", False), ("cancelled", False)])
def test_an_outcome_is_published_only_if_its_status_is_chosen(
    server: PrivateServer, bus: notify.Bus, connect_to: Connect, chosen: str, tells: bool
) -> None:
    choosy = connect_to(server, job_events=chosen)
    job = Queue("work", connection=choosy.redis).enqueue(add)
    before = len(events_of(bus))
    outcome = Outcome("stopped", "why", "svc", 7, Why("on_loss=cancel", "svc", 3, "1-0@e", 5))
    with choosy.redis.pipeline() as pipe:
        publish_outcome(choosy.redis, job, outcome, worker="w", pipeline=pipe)
        pipe.execute()
    event = events_of(bus)[before:]
    assert len(event) == tells
    why = {"rule": "on_loss=cancel", "service": "svc", "incarnation": 3, "event": "1-0@e", "after_ms": 5}
    assert not tells or event[0] == {
        "job": job.id,
        "status": "stopped",
        "reason": "why",
        "need": "svc",
        "at_ms": 7,
        "why": why,
        "worker": "w",
    }


def test_events_of_several_queues_come_each_on_its_topic(bus: notify.Bus) -> None:
    jobs = {name: Queue(name, connection=bus.redis).enqueue(add_with_svc, on_loss="ignore").id for name in ("one", "two")}
    with bus.service("svc"):
        pass
    claim_next(bus, "one", "two")
    assert [[(event["job"], event["status"]) for event in events_of(bus, name)] for name in jobs] == [
        [(jobs["one"], "enqueued"), (jobs["one"], "started")],
        [(jobs["two"], "enqueued")],
    ]


def test_events_of_scripts_and_of_workers_form_one_gapless_log(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, collect: Callable[..., Any]
) -> None:
    """Many events are published in one step, and some one by one."""
    with bus.subscribe("job.work") as events:
        start_workers()
        jobs = queue.enqueue_many([Queue.prepare_data(fail) for _ in range(3)])
        jobs += queue.enqueue_many([Queue.prepare_data(add) for _ in range(50)])
        items = collect(events, 3 * len(jobs))
    assert all(isinstance(item, notify.Event) for item in items), [item for item in items if isinstance(item, notify.Gap)]
    lives: dict[str, list[str]] = {}
    for item in items:
        lives.setdefault(item.contents["job"], []).append(item.contents["status"])
    assert [lives[job.id] for job in jobs] == [["enqueued", "started", "failed"]] * 3 + [["enqueued", "started", "finished"]] * 50
