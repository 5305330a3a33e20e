"""Child processes of a command, and how they end, also after a second Ctrl-C."""

import os
import signal

import pytest

import notify
from cli.lab import Child, environ_of
from cli.start import unwind_on_signals
from cli.worker import working
from notify.testing import PrivateServer, wait_until
from workers import Pool, Queue, WorkerOptions
from workers.storage import NAME
from workers.temperature import QUEUE, TOPIC

pytestmark = pytest.mark.usefixtures("_signals")


def options(bus: notify.Bus) -> WorkerOptions:
    return WorkerOptions(settings=bus.settings, queues=("work",), modules=("workers.storage",))


def serving(bus: notify.Bus, child: Child) -> None:
    wait_until(lambda: NAME in bus.directory, timeout_s=20)
    assert bus.directory.lookup(NAME).pid == child.pid


def test_a_child_withdraws_when_it_is_stopped(bus: notify.Bus) -> None:
    with Child(["storage"], environ=environ_of(bus.settings)) as child:
        serving(bus, child)
        assert child.ended is None
    assert child.ended == 0
    end = bus.directory.last_end(NAME)
    assert end is not None
    assert end.reason == "withdrawn"


def test_a_child_that_does_not_end_is_killed(bus: notify.Bus) -> None:
    with Child(["storage"], environ=environ_of(bus.settings)) as child:
        serving(bus, child)
        os.kill(child.pid, signal.SIGSTOP)
        child.stop(grace_s=0.05)
    assert child.ended == -signal.SIGKILL
    bus.directory.kill(NAME)  # it was killed before it could withdraw


def test_a_child_is_killed_when_we_are_interrupted_while_it_ends(bus: notify.Bus) -> None:
    child = Child(["storage"], environ=environ_of(bus.settings))
    serving(bus, child)
    os.kill(child.pid, signal.SIGSTOP)
    unwind_on_signals()
    signal.signal(signal.SIGALRM, signal.getsignal(signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    with pytest.raises(KeyboardInterrupt):
        child.stop()
    assert child.ended == -signal.SIGKILL
    bus.directory.kill(NAME)  # it was killed before it could withdraw


def test_what_a_child_prints_can_be_read(bus: notify.Bus) -> None:
    queue, environ = Queue(QUEUE, connection=bus.redis), environ_of(bus.settings)
    with bus.service(NAME, provides={"store"}) as storage, Child(["recorder", "--once"], environ=environ, capture=True) as child:
        wait_until(lambda: bus.publish(TOPIC, {"celsius": 1, "text": "cold"}) and queue.count, timeout_s=20)
        storage.kill()
        with child.stdout as printed:
            assert printed.read().endswith("storage killed\n")


def test_the_address_travels_in_the_environment(server: PrivateServer) -> None:
    environ = environ_of(notify.Settings(url="redis://:s3cret@localhost", namespace="yard"))
    assert (environ["NOTIFY_URL"], environ["NOTIFY_NAMESPACE"]) == ("redis://:s3cret@localhost", "yard")
    assert environ["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, LookupError])
def test_workers_are_stopped_whatever_ends_the_block(bus: notify.Bus, error: type[BaseException]) -> None:
    def fail() -> None:
        wait_until(lambda: bus.redis.scard("rq:workers") == 2, timeout_s=20)
        raise error

    pool = Pool(options(bus), size=2)
    with pytest.raises(error), working(pool):
        fail()
    assert pool.check() == 0
    assert not bus.redis.scard("rq:workers")


def test_a_signal_while_workers_are_started_leaves_none(bus: notify.Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(options(bus), size=1)
    unwind_on_signals()
    start = pool.open

    def open_and_be_interrupted() -> None:
        signal.raise_signal(signal.SIGINT)
        start()

    monkeypatch.setattr(pool, "open", open_and_be_interrupted)
    with pytest.raises(KeyboardInterrupt), working(pool):
        pass
    assert [process.poll() is not None for process in pool.processes] == [True]
