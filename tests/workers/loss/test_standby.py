"""Jobs and a service whose name goes to a standby or to its restarted process."""

from collections.abc import Callable

import pytest

import notify
from notify.testing import PrivateServer, wait_until
from tests.support.processes import Process
from tests.support.sample_jobs import hold
from tests.workers.conftest import Effects, StartWorkers
from workers import Queue


@pytest.mark.usefixtures("each_window")
@pytest.mark.any_server
def test_held_jobs_run_when_a_killed_service_has_restarted(
    bus: notify.Bus, server: PrivateServer, start: Callable[..., Process], queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    """The restarted process has the name at once: before the ttl of an hour is over, and before anybody would have swept."""
    first, second = (start("restarted_service", server.url, "svc", 3600, "", "wait") for _ in range(2))
    first.go()
    assert first.told()["name"] == "svc"
    running, waiting = (queue.enqueue(hold, name, needs="svc", on_loss="hold") for name in "xy")
    start_workers()
    effects.wait_for("x:begun")
    first.kill()
    second.go()
    assert second.told()["name"] == "svc"
    effects.wait_for("x:begun", 2)
    for name in "xy":
        effects.let_go(name)
    assert [str(outcome.status) for outcome in (running.wait(20), waiting.wait(20)) if outcome] == ["finished"] * 2
    second.end()


def test_jobs_that_need_a_capability_go_on_when_a_standby_has_it(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    """The twin is the job that needs the service by its name: that one was lost."""
    with bus.service("svc", provides={"store"}, ttl_s=3600) as holder, bus.service("svc", provides={"store"}, ttl_s=3600) as standby:
        by_capability = queue.enqueue(hold, "x", needs=notify.provides("store"))
        by_name = queue.enqueue(hold, "y", needs="svc")
        start_workers(2)
        effects.wait_for("x:begun")
        effects.wait_for("y:begun")
        holder.kill()
        stopped = by_name.wait(10)
        effects.let_go("x")
        finished = by_capability.wait(10)
        wait_until(lambda: standby.name == "svc")
        again = queue.enqueue(hold, "z", needs="svc")
        effects.let_go("z")
        outcomes = [stopped, finished, again.wait(10)]
    assert [(outcome.status, outcome.need) for outcome in outcomes if outcome] == [
        ("stopped", "svc"),
        ("finished", None),
        ("finished", None),
    ]
