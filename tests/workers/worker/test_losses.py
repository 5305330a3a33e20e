"""Jobs in real processes when a service they need ends: closed, killed or dead."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import notify
from notify.testing import wait_until
from tests.support.processes import Process
from tests.support.sample_jobs import add, add_with_svc, hold, tick
from tests.workers.conftest import Effects, StartWorkers, is_alive, mishaps, next_mishap
from workers import Outcome, Queue

StartProcess = Callable[..., Process]


@contextmanager
def service_process(start: StartProcess, url: str) -> Iterator[Process]:
    """A service ``svc`` in a process of its own; it may be silent for half a second."""
    process = start("service", url, "svc", "0.5")
    process.told()
    yield process


def close_it(bus: notify.Bus, process: Process) -> None:
    assert process.end() == 0


def kill_it(bus: notify.Bus, process: Process) -> None:
    bus.directory.kill("svc", why="a test")


def let_it_die(bus: notify.Bus, process: Process) -> None:
    process.kill()


@pytest.mark.parametrize("lose", [close_it, kill_it, let_it_die])
def test_the_end_of_a_service_cancels_waiting_and_stops_running_jobs_and_no_others(
    bus: notify.Bus,
    server: Any,
    queue: Queue,
    start: StartProcess,
    start_workers: StartWorkers,
    effects: Effects,
    lose: Callable[[notify.Bus, Process], None],
) -> None:
    """Its waiting jobs are cancelled, its running ones are stopped, and jobs that do not need it go on."""
    with service_process(start, server.url) as process, bus.subscribe("job.work") as events:
        running = [queue.enqueue(tick, name, needs="svc") for name in ("one", "two")]
        waiting = [queue.enqueue(add_with_svc) for _ in range(3)]
        other = queue.enqueue(add, "other")
        start_workers(2)
        effects.wait_for("one:begun")
        effects.wait_for("two:begun")
        pids = [effects["one:pid"], effects["two:pid"]]

        lose(bus, process)

        events_seen: dict[str, Any] = {}
        while len(events_seen) < 5:
            end = next_mishap(events)
            assert end is not None, f"only {events_seen} came"
            assert end["job"] not in events_seen
            events_seen[end["job"]] = end
        # The event of a stop is published when the process of the job is dead.
        assert [is_alive(pid) for pid in pids] == [False, False]
        written = effects["one:begun"], effects["two:begun"]
        assert other.wait(10) == Outcome("finished")
        assert (effects["one:begun"], effects["two:begun"]) == written
        assert next_mishap(events, 0.05) is None
    assert {events_seen[job.id]["status"] for job in running} == {"stopped"}
    assert {events_seen[job.id]["status"] for job in waiting} == {"cancelled"}
    for job in (*running, *waiting):
        outcome = job.outcome
        assert outcome is not None
        assert (outcome.reason, outcome.need, outcome.status) == ("svc is gone", "svc", events_seen[job.id]["status"])
    assert (effects["added"], queue.get_job_ids()) == (0, [])
    assert not bus.redis.exists(bus.keys.needs("svc"))


def test_a_service_that_returns_at_once_cancels_waiting_jobs_and_lets_new_ones_run(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    with bus.service("svc"):
        before = [queue.enqueue(add_with_svc, "before") for _ in range(3)]
    with bus.service("svc"):
        after = [queue.enqueue(add_with_svc, "after") for _ in range(3)]
        start_workers()
        assert [job.wait(10) for job in after] == [Outcome("finished")] * 3
    assert [job.outcome.status for job in before if job.outcome] == ["cancelled"] * 3
    assert (effects["before"], effects["after"]) == (0, 3)


def test_a_service_that_returns_at_once_stops_running_jobs(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    with bus.service("svc"):
        running = queue.enqueue(hold, "x", needs="svc")
        start_workers()
        effects.wait_for("x:begun")
    with bus.service("svc"):
        outcome = running.wait(10)
        assert queue.enqueue(add_with_svc).wait(10) == Outcome("finished")
    assert outcome is not None
    assert (outcome.status, outcome.need) == ("stopped", "svc")
    effects.let_go("x")
    assert effects["x:done"] == 0


def test_losing_one_of_several_services_is_enough(bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    with bus.service("one"), bus.service("two"):
        running, waiting = (queue.enqueue(hold, name, needs=["one", "two"]) for name in "xy")
        start_workers()
        effects.wait_for("x:begun")
        bus.directory.kill("two")
        outcomes = running.wait(10), waiting.wait(10)
    assert [(o.status, o.need) for o in outcomes if o] == [("stopped", "two"), ("cancelled", "two")]


def test_losing_another_service_harms_no_job(bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    with bus.service("svc"), bus.service("svc-2"), bus.subscribe("services") as changes:
        running, waiting = queue.enqueue(hold, "x", needs="svc"), queue.enqueue(add_with_svc)
        start_workers()
        effects.wait_for("x:begun")
        bus.directory.kill("svc-2")
        assert changes.get(5) is not None
        effects.let_go("x")
        assert (running.wait(10), waiting.wait(10)) == (Outcome("finished"), Outcome("finished"))


@pytest.mark.parametrize("on_loss", ["drain", "ignore"])
def test_a_job_that_may_finish_finishes_while_the_others_are_stopped(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, on_loss: Any
) -> None:
    with bus.service("svc"):
        patient, impatient = queue.enqueue(hold, "x", needs="svc", on_loss=on_loss), queue.enqueue(hold, "y", needs="svc")
        start_workers(2)
        effects.wait_for("x:begun")
        effects.wait_for("y:begun")
    outcome = impatient.wait(10)
    assert outcome is not None
    assert outcome.status == "stopped"
    assert patient.outcome is None
    effects.let_go("x")
    assert patient.wait(10) == Outcome("finished")


def test_each_affected_waiting_job_is_cancelled_once_by_any_number_of_workers(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers
) -> None:
    """The workers serve another queue: their loss watchers cancel."""
    start_workers(2, queues=("another",))
    ready = [Queue("another", connection=bus.redis).enqueue(add) for _ in range(2)]
    with bus.service("svc"), bus.subscribe("job.work") as events:
        jobs = queue.enqueue_many([Queue.prepare_data(add_with_svc) for _ in range(250)])
        stays = queue.enqueue(add)
        assert [job.wait(10) for job in ready] == [Outcome("finished")] * 2
        bus.directory.kill("svc")
        events_seen = mishaps(events, len(jobs), quiet_s=0.2)
    assert sorted(end["job"] for end in events_seen) == sorted(job.id for job in jobs)
    assert {end["status"] for end in events_seen} == {"cancelled"}
    assert (queue.get_job_ids(), len(queue.canceled_job_registry)) == ([stays.id], 250)
    wait_until(lambda: not bus.redis.exists(bus.keys.losing("svc")), what="the release of the lock")


def test_what_was_lost_while_no_worker_ran_is_cancelled_by_the_first_one(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers
) -> None:
    with bus.service("svc"):
        lost = queue.enqueue(add_with_svc)
    start_workers(queues=("another",))
    outcome = lost.wait(10)
    assert outcome is not None
    assert (outcome.status, outcome.reason) == ("cancelled", "svc is gone")


def test_a_worker_without_help_finds_a_dead_service(
    bus: notify.Bus, server: Any, queue: Queue, start: StartProcess, start_workers: StartWorkers, effects: Effects
) -> None:
    """The worker's own monitor is the only one."""
    with service_process(start, server.url) as process:
        running = queue.enqueue(hold, "x", needs="svc")
        start_workers()
        effects.wait_for("x:begun")
        process.kill()
        outcome = running.wait(10)
    assert outcome is not None
    assert (outcome.status, outcome.need) == ("stopped", "svc")
    end = bus.directory.last_end("svc")
    assert end is not None
    assert end.reason == "expired"
