"""The effect of a loss with real workers, for each policy, by name and by capability."""

from typing import Any, NamedTuple

import pytest
import rq

import notify
from notify.testing import wait_until
from tests.support.sample_jobs import add, hold
from tests.workers.conftest import Effects, StartWorkers, is_alive, mishaps
from workers import Job, Outcome, Queue
from workers.loss.held import HeldJobs
from workers.scripts.jobs import JobScripts

PRINTS = notify.provides("print")


class Cell(NamedTuple):
    """A policy, the state of a running and of a waiting job after a loss, and the number of runs of the first in the end."""

    requirements: dict[str, Any]
    running: str
    waiting: str
    runs: int

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.requirements.items())


CELLS = [
    Cell({"on_loss": "cancel"}, "stopped", "cancelled", runs=1),
    Cell({"on_loss": "cancel", "grace_s": 0.3}, "stopped", "cancelled", runs=1),
    Cell({"on_loss": "hold"}, "held", "held", runs=2),
    Cell({"on_loss": "hold", "grace_s": 0.3}, "held", "held", runs=2),
    Cell({"on_loss": "hold", "max_hold_s": 100}, "held", "held", runs=2),
    Cell({"on_loss": "drain"}, "goes on", "cancelled", runs=1),
    Cell({"on_loss": "ignore"}, "goes on", "goes on", runs=1),
]


def state(job: Job) -> str:
    outcome = job.outcome
    if outcome is not None:
        return outcome.status
    return "held" if job.held is not None else "goes on"


@pytest.mark.usefixtures("each_window")
@pytest.mark.parametrize(("cell", "need"), [*((cell, "svc") for cell in CELLS), (CELLS[0], PRINTS), (CELLS[2], PRINTS)], ids=str)
def test_a_loss_does_what_the_policy_says(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, cell: Cell, need: Any
) -> None:
    holds = HeldJobs(bus.redis)
    start_workers()
    with bus.service("svc", provides={"print"}):
        running, waiting = (queue.enqueue(hold, name, needs=need, **cell.requirements) for name in "xy")
        effects.wait_for("x:begun")
        pid = effects["x:pid"]
    wait_until(lambda: holds.run() and (state(running), state(waiting)) == (cell.running, cell.waiting), timeout_s=10)
    if cell.running != "goes on":
        wait_until(lambda: not is_alive(pid), what="the end of the job's process")
    with bus.service("svc", provides={"print"}):
        effects.let_go("x", cell.runs)
        effects.let_go("y")
        wait_until(lambda: holds.run() and running.outcome and waiting.outcome, timeout_s=10)
    ends = [running.outcome, waiting.outcome]
    expected = ["finished" if each in ("held", "goes on") else each for each in (cell.running, cell.waiting)]
    assert [end.status for end in ends if end] == expected
    assert (effects["x:begun"], effects["x:done"]) == (cell.runs, int(expected[0] == "finished"))
    assert effects["y:done"] == int(expected[1] == "finished")


@pytest.mark.parametrize(("on_loss", "need"), [("cancel", "svc"), ("cancel", PRINTS), ("hold", "svc"), ("drain", "svc")], ids=str)
def test_a_service_that_returns_within_its_grace_was_not_lost(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, on_loss: Any, need: Any
) -> None:
    start_workers()
    with bus.service("svc", provides={"print"}):
        running, waiting = (queue.enqueue(hold, name, needs=need, on_loss=on_loss, grace_s=100) for name in "xy")
        effects.wait_for("x:begun")
    wait_until(lambda: waiting.held, what="the waiting one to be held")
    with bus.service("svc", provides={"print"}):
        HeldJobs(bus.redis).run()
        effects.let_go("x")
        effects.let_go("y")
        assert (running.wait(10), waiting.wait(10)) == (Outcome("finished"), Outcome("finished"))
    assert (effects["x:begun"], effects["y:begun"]) == (1, 1)


def test_a_job_that_needs_a_capability_runs_until_the_last_provider_goes(
    bus: notify.Bus, another_bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    start_workers(2)
    with bus.subscribe("job.work") as events:
        with another_bus.service("two", provides={"print"}):
            with bus.service("one", provides={"print"}):
                any_will_do = queue.enqueue(hold, "x", needs=PRINTS)
                only_one = queue.enqueue(hold, "y", needs="one")
                effects.wait_for("x:begun")
                effects.wait_for("y:begun")
            assert [(event["job"], event["status"]) for event in mishaps(events, 1)] == [(only_one.id, "stopped")]
            assert any_will_do.outcome is None
        assert [(event["job"], event["need"], event["why"]["service"]) for event in mishaps(events, 1)] == [
            (any_will_do.id, "any print", "two")
        ]


def test_a_running_job_is_stopped_after_its_grace_and_not_before(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    start_workers()
    with bus.service("svc"):
        running = queue.enqueue(hold, "x", needs="svc", grace_s=1.5)
        effects.wait_for("x:begun")
    outcome = running.wait(10)
    assert outcome is not None
    assert outcome.why is not None
    assert (outcome.status, outcome.need) == ("stopped", "svc")
    assert outcome.why.after_ms is not None
    assert 1_500 <= outcome.why.after_ms < 3_500


@pytest.mark.usefixtures("each_window")
@pytest.mark.parametrize("retry", [None, rq.Retry(max=3)])
def test_a_job_that_ends_while_it_is_stopped_to_be_held_is_held(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, retry: Any
) -> None:
    """The loss is recorded, so the end of the run does not count; the job runs once more."""
    start_workers()
    with bus.service("svc"):
        running = queue.enqueue(hold, "x", needs="svc", on_loss="hold", retry=retry)
        effects.wait_for("x:begun")
        raw: Any = bus.redis.hget(running.key, "fence")
        bus.directory.kill("svc")
        JobScripts(bus.redis).check_run(running.id, fence=raw.decode())  # as its loss watcher does, which may be faster
        effects.let_go("x")  # it may end before its worker knows
    wait_until(lambda: running.held == "svc", timeout_s=10)
    assert (running.outcome, running.id in queue.finished_job_registry) == (None, False)
    with bus.service("svc"):
        HeldJobs(bus.redis).run()
        effects.let_go("x")
        assert running.wait(10) == Outcome("finished")
    assert effects["x:begun"] == 2


def test_N14_jobs_have_priorities_and_each_can_be_cancelled(bus: notify.Bus, start_workers: StartWorkers, effects: Effects) -> None:
    """A worker takes urgent jobs first, then standard jobs, and idle jobs when there is nothing else."""
    urgency = ("urgent", "standard", "idle")
    queues = {name: Queue(name, connection=bus.redis) for name in urgency}
    with bus.subscribe("job.*") as events:
        jobs = [queues[name].enqueue(add, f"{name}-{number}") for number in range(4) for name in reversed(urgency)]
        doomed = [job for job in jobs if str(job.args[0]).endswith("-1")]
        assert [job.cancel("not today").status for job in doomed] == ["cancelled"] * 3
        start_workers(queues=urgency)
        wait_until(lambda: all(job.outcome for job in jobs), timeout_s=15)
        published: list[Any] = [event.contents for event in iter(lambda: events.get(0.2), None)]
    names = {job.id: job.args[0] for job in jobs}
    started = [names[contents["job"]] for contents in published if contents["status"] == "started"]
    assert started == [f"{name}-{number}" for name in urgency for number in (0, 2, 3)]
    assert [effects[name] for name in names.values()] == [0 if name.endswith("-1") else 1 for name in names.values()]


def test_N14_a_job_that_becomes_urgent_is_next(bus: notify.Bus, start_workers: StartWorkers, effects: Effects) -> None:
    urgent, idle = (Queue(name, connection=bus.redis) for name in ("urgent", "idle"))
    running, waits = idle.enqueue(hold, "x"), idle.enqueue(hold, "y")
    start_workers(queues=("urgent", "idle"))
    effects.wait_for("x:begun")
    late = urgent.enqueue(hold, "z")
    effects.let_go("x")
    effects.wait_for("z:begun")
    assert (effects["y:begun"], running.outcome, waits.outcome) == (0, Outcome("finished"), None)
    assert late.cancel().status == "stopped"  # a running job can be cancelled too
    effects.let_go("y")
    assert waits.wait(10) == Outcome("finished")
