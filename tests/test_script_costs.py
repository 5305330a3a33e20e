"""The number of commands that each operation runs inside the server, beside the script itself, so that a change that adds one shows.

``docs/costs.md`` has these figures with those from before the last diet. What claims and ends cost in a worker is counted beside that.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

import notify
from notify.directory import Upkeep
from tests.support.faults import beat, commands_during
from tests.support.sample_jobs import add
from workers import Job, Queue
from workers.scripts import ClaimOptions, ClaimScripts, Ended, EnqueueScripts, Fences, History, RefillCall
from workers.scripts.jobs import JobScripts

MANY = 100
BACKGROUND = 10
"""Commands of a sweep, which may fall into any operation."""


class Setting:
    """A service, and jobs that wait."""

    def __init__(self, bus: notify.Bus, another: notify.Bus, stack: ExitStack) -> None:
        self.bus = bus
        self.service = stack.enter_context(another.service("svc", provides={"multiply"}, ttl_s=60))
        self.queue = Queue("work", connection=bus.redis)
        self.scripts = JobScripts(bus.redis)
        self.upkeep = Upkeep(bus.redis)
        self.jobs = [self.queue.enqueue(add) for _ in range(4)]

    def many(self, **options: object) -> list[Job]:
        return self.queue.enqueue_many([Queue.prepare_data(add) for _ in range(MANY)], **options)  # type: ignore[arg-type]

    def lose(self, policy: str) -> Callable[[], object]:
        """Many jobs need a service that is lost; return what applies the loss."""
        self.many(needs="svc", on_loss=policy)
        self.service.close()
        return lambda: self.scripts.apply_loss("svc", passed=0, count=MANY)

    def hold(self, stack: ExitStack) -> Callable[[], object]:
        """Many jobs are held and their service is back; return what releases them."""
        self.lose("hold")()
        stack.enter_context(self.bus.service("svc", ttl_s=60))
        return lambda: self.scripts.release_held("work", "svc", first=MANY, most=MANY)

    def working(self, wanted: int, history: History = "full") -> Callable[[], object]:
        """Plain jobs are claimed and ended, so many at a time."""
        self.queue.empty()
        self.many()
        claims = ClaimScripts(self.bus.redis, "w", heartbeat_s=30, idle_s=480, result_ttl_s=500, options=ClaimOptions(history=history))
        fences, ended = Fences(), list[Ended]()

        def work() -> None:
            for _ in range(0, MANY, wanted):
                number = fences.take(wanted)
                answer = claims.refill(RefillCall([self.queue.key], ended=ended, line=[], wanted=wanted, fences=fences, number=number))
                ended[:] = [Ended(claim.run, 1.0, 1.0003, is_announced=False) for claim in answer.claims]

        return work

    def waiting(self) -> Callable[[], object]:
        ids = [job.id for job in self.many(needs="svc")]
        return lambda: EnqueueScripts(self.bus.redis).check_waiting(ids)

    def cancelling(self) -> Callable[[], object]:
        ids = [job.id for job in self.many()]
        return lambda: self.scripts.cancel(ids, reason="test", queue="work", from_list=False)


Prepare = Callable[[Setting, ExitStack], Callable[[], object]]

ONE: dict[str, tuple[Prepare, int]] = {
    "publish": (lambda to, _: lambda: to.bus.publish("t", 1), 6),
    "publish, retained": (lambda to, _: lambda: to.bus.publish("t", 1, retain_s=60), 7),
    "heartbeat of a service": (lambda to, _: lambda: beat(to.service), 6),
    "sweep, nobody due": (lambda to, _: lambda: to.upkeep.sweep_once(), 7),
    "enqueue": (lambda to, _: lambda: to.queue.enqueue(add), 9),
    "enqueue, with a need": (lambda to, _: lambda: to.queue.enqueue(add, needs="svc"), 14),
    "cancel a job": (lambda to, _: lambda: to.jobs.pop().cancel(), 15),
}
"""Commands of one operation that was done before."""

EACH: dict[str, tuple[Prepare, float]] = {
    "enqueue many": (lambda to, _: to.many, 2.2),
    "enqueue many, with a need": (lambda to, _: lambda: to.many(needs="svc"), 3.2),
    "cancel many": (lambda to, _: to.cancelling(), 5.1),
    "check jobs that wait": (lambda to, _: to.waiting(), 1.1),
    "lose and cancel": (lambda to, _: to.lose("cancel"), 5.2),
    "lose and hold": (lambda to, _: to.lose("hold"), 4.2),
    "release": (lambda to, stack: to.hold(stack), 5.2),
    "claim and end, alone": (lambda to, _: to.working(1), 22.9),
    "claim and end, in batches": (lambda to, _: to.working(25), 9.9),
    "claim and end, alone, by a lean worker": (lambda to, _: to.working(1, "lean"), 15.9),
    "claim and end, in batches, by a lean worker": (lambda to, _: to.working(25, "lean"), 5.9),
}
"""Commands for each of many jobs."""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def setting(bus: notify.Bus, another_bus: notify.Bus, stack: ExitStack) -> Setting:
    return Setting(bus, another_bus, stack)


def counted(setting: Setting, act: Callable[[], object]) -> list[str]:
    return commands_during(setting.bus.redis, act, in_scripts=True)


@pytest.mark.parametrize("operation", ONE)
def test_an_operation_runs_no_more_commands_in_the_server(setting: Setting, stack: ExitStack, operation: str) -> None:
    prepare, most = ONE[operation]
    act = prepare(setting, stack)
    act()
    commands = min((counted(setting, act) for _ in range(2)), key=len)  # a sweep may fall into one of them
    assert 0 < len(commands) <= most, commands


@pytest.mark.parametrize("operation", EACH)
def test_each_of_many_jobs_costs_no_more_commands_in_the_server(setting: Setting, stack: ExitStack, operation: str) -> None:
    prepare, most = EACH[operation]
    commands = counted(setting, prepare(setting, stack))
    assert MANY <= len(commands) <= most * MANY + BACKGROUND, commands[:40]
