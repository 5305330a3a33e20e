"""The number of commands that each operation sends, so that a change that makes one more costly shows.

Commands inside scripts do not count. What idle workers and many workers send is counted beside the worker.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

import notify
from notify.directory.scripts import DirectoryScripts
from notify.testing import wait_until
from tests.support.faults import beat, commands_during
from tests.support.processes import Calculator
from tests.support.sample_jobs import add, add_with_svc
from tests.workers.conftest import Effects, StartWorkers, start_workers  # noqa: F401  # the fixture
from workers import Job, Queue, explain, find_jobs, preview_loss, queues

Operation = Callable[[], object]

JOBS = 250
BACKGROUND = ("XREAD ", "PING", "CLIENT ", "HELLO")
"""What the readers of requests and of events send by themselves, and new connections."""


class Setting:
    """A service with methods, a queue, and some jobs on another one."""

    def __init__(self, bus: notify.Bus, another: notify.Bus, stack: ExitStack) -> None:
        self.bus, self.another = bus, another
        self.service = stack.enter_context(bus.service("svc", provides={"multiply"}, ttl_s=60, exports=Calculator()))
        self.queue, self.waiting = Queue("work", connection=bus.redis), Queue("waiting", connection=bus.redis)
        self.job = self.waiting.enqueue(add_with_svc)
        self.jobs = self.waiting.enqueue_many([Queue.prepare_data(add) for _ in range(20)])
        self.publisher = stack.enter_context(bus.background_publisher())
        self.state = bus.state("s")

    def call(self) -> object:
        return self.another.call("svc", "multiply", 2, 3)

    def publish_in_background(self) -> None:
        for number in range(200):
            self.publisher.put("t", number)
        wait_until(lambda: self.publisher.counters.sent == self.publisher.counters.accepted)


OPERATIONS: dict[str, tuple[Callable[[Setting], object], int]] = {
    "publish": (lambda to: to.bus.publish("t", 1), 1),
    "publish, retained": (lambda to: to.bus.publish("t", 1, retain_s=60), 1),
    "publish once": (lambda to: to.bus.publish("t", 1, key="once"), 1),
    "subscribe and close": (lambda to: to.bus.subscribe("t").close(), 9),
    "publish 200 events in the background": (Setting.publish_in_background, 5),
    "write to a state": (lambda to: to.state.update({"a": 1, "b": 2}), 1),
    "read a state": (lambda to: to.state.snapshot(), 1),
    "send a heartbeat": (lambda to: beat(to.service), 1),
    "look a service up": (lambda to: to.bus.directory.lookup("svc"), 2),
    "find services": (lambda to: to.bus.directory.find(provides="multiply"), 3),
    "call": (Setting.call, 5),
    "enqueue": (lambda to: to.queue.enqueue(add), 1),
    "enqueue, with an option of RQ": (lambda to: to.queue.enqueue(add, job_id="mine"), 2),
    "enqueue many": (lambda to: to.queue.enqueue_many([Queue.prepare_data(add) for _ in range(JOBS)]), 3),
    "cancel a job": (lambda to: to.jobs.pop().cancel(), 3),
    "fetch a job": (lambda to: Job.fetch(to.job.id, connection=to.bus.redis), 1),
    "explain a job": (lambda to: explain(to.bus, to.job), 8),
    "describe the queues": (lambda to: queues(to.bus.redis), 15),
    "find jobs": (lambda to: list(find_jobs(to.bus.redis)), 40),
    "preview a loss": (lambda to: preview_loss(to.bus.redis, "svc"), 14),
}


@pytest.fixture
def setting(bus: notify.Bus, another_bus: notify.Bus) -> Iterator[Setting]:
    with ExitStack() as stack:
        yield Setting(bus, another_bus, stack)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_sends_no_more_commands_than_it_needs(setting: Setting, operation: str) -> None:
    act, most = OPERATIONS[operation]
    act(setting)  # connects, and loads the scripts
    sweep = DirectoryScripts(setting.bus.redis).digest("sweep")
    commands = [
        each for each in commands_during(setting.bus.redis, lambda: act(setting)) if not each.startswith(BACKGROUND) and sweep not in each
    ]
    assert 0 < len(commands) <= most, commands


def test_a_job_costs_one_worker_at_most_three_commands(
    bus: notify.Bus,
    start_workers: StartWorkers,  # noqa: F811
) -> None:
    """A claim, which records the end of the job before; the effect of the job; and now and then a look of another part."""
    queue, effects = Queue("work", connection=bus.redis), Effects(bus)
    start_workers()
    queue.enqueue(add)
    effects.wait_for("added")

    def run() -> None:
        queue.enqueue_many([Queue.prepare_data(add) for _ in range(JOBS)])
        effects.wait_for("added", JOBS + 1)

    commands = [command for command in commands_during(bus.redis, run) if not command.startswith(("HGET ", "EVAL local"))]
    assert len(commands) <= 3 * JOBS


def test_an_idle_subscriber_and_an_idle_service_send_few_commands(bus: notify.Bus) -> None:
    """The service: three heartbeats in a ttl and its sweeps; the subscriber: nothing until it probes."""
    with bus.service("svc", ttl_s=1.5), bus.subscribe("a", "b") as events:
        events.get(0.2)
        commands = commands_during(bus.redis, lambda: threading.Event().wait(1.5))
    assert len(commands) <= 12, commands
