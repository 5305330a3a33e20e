"""The dispatcher: several programs in one process, and a shutdown in two phases."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import notify
from notify.keys import due_member
from notify.testing import wait_until

pytestmark = pytest.mark.any_server


class Idle(notify.Program):
    name = "idle"


class Ending(notify.Program):
    name = "ending"

    def run(self):
        return


class Failing(notify.Program):
    name = "failing"

    def run(self):
        raise ValueError("no luck")


class Holding(notify.Program):
    """A program that suspends its shutdown forever."""

    name = "holding"

    def pending(self):
        self.service.suspend()
        super().pending()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_N2_a_signal_is_pending_for_all_until_the_suspension_ends(bus, server, start, signum):
    process = start("dispatcher", server.url, 10, "first", "second")
    assert process.told() == "ready"
    assert {service.name for service in bus.directory} == {"first", "second"}
    os.kill(process.pid, signum)
    assert [process.told(), process.told()] == [["second", "pending"], ["first", "pending"]]
    with bus.subscribe("first_status") as status:
        assert "first" in bus.directory, "it has work in hand"
        assert "second" in bus.directory, "and so none of them has arrived"
        process.go()
        assert status.get(5).contents == "finished"
        assert status.get(5).contents.message == "first withdrawn"
    assert process.rest() == [["second", "arrived"], ["first", "arrived"], "done"]
    assert process.end() == 0
    assert list(bus.directory) == []


def test_N2_the_twin_without_a_drain_ends_with_unfinished_work(bus, server, start):
    process = start("dispatcher", server.url, 0.001, "hasty")
    process.told()
    with bus.subscribe("hasty_status") as status:
        os.kill(process.pid, signal.SIGTERM)
        assert status.get(5).contents.message == "hasty withdrawn"


def test_N2_a_second_signal_does_not_wait(server, bus, start):
    process = start("dispatcher", server.url, 60, "first")
    process.told()
    os.kill(process.pid, signal.SIGTERM)
    assert process.told() == ["first", "pending"]
    os.kill(process.pid, signal.SIGTERM)
    assert process.told() == ["first", "arrived"]
    process.go()
    wait_until(lambda: not list(bus.directory))


def test_N2_a_suspension_longer_than_the_drain_is_cut_short_and_logged(bus, caplog):
    dispatcher = notify.Dispatcher(Holding(bus), drain_s=0.05)
    threading.Timer(0.05, dispatcher.shutdown).start()
    dispatcher.run()
    assert "holding is cut short: it was not done in time" in caplog.text
    assert list(bus.directory) == []


def test_N2_a_program_that_was_cut_short_does_not_block_the_process(bus, server, start):
    process = start("deaf_dispatcher", server.url, 0.05)
    assert process.told() == "ready"
    os.kill(process.pid, signal.SIGTERM)
    assert process.told() == "done"
    assert process.end() == 0
    assert list(bus.directory) == []


@pytest.fixture
def slow_call():
    """Start a timer's call that runs until the test ends."""
    begun, may_end = threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        may_end.wait(20)

    call.begun = begun
    yield call
    may_end.set()


def _run_and_shut_down(dispatcher, begun, *, times):
    thread = threading.Thread(target=dispatcher.run)
    thread.start()
    assert begun.wait(5)
    for _ in range(times):
        dispatcher.shutdown()
    thread.join(5)
    return not thread.is_alive()


def test_N2_a_slow_timer_delays_a_shutdown_no_longer_than_the_drain(bus, slow_call, caplog):
    dispatcher = notify.Dispatcher(Idle(bus), drain_s=0.1)
    dispatcher.timers.after(0.001, slow_call)
    assert _run_and_shut_down(dispatcher, slow_call.begun, times=1)
    assert "a timer's call is cut short: it was not done in time" in caplog.text
    assert list(bus.directory) == []


def test_N2_a_second_signal_does_not_wait_for_the_call_of_a_timer(bus, slow_call, caplog):
    dispatcher = notify.Dispatcher(Idle(bus), drain_s=60)
    dispatcher.timers.after(0.001, slow_call)
    assert _run_and_shut_down(dispatcher, slow_call.begun, times=2)
    assert "a timer's call is cut short: it was not done when a second signal came" in caplog.text
    assert list(bus.directory) == []


def test_N2_the_call_of_a_timer_that_runs_at_the_end_is_finished(bus):
    begun, finished = threading.Event(), []
    dispatcher = notify.Dispatcher(Idle(bus))
    dispatcher.timers.after(0.001, lambda: (begun.set(), threading.Event().wait(0.1), finished.append(True)))
    assert _run_and_shut_down(dispatcher, begun, times=1)
    assert finished == [True]


def test_the_dispatcher_ends_when_all_its_programs_have_ended(bus):
    notify.Dispatcher(Ending(bus), Ending(bus, name="another")).run()
    assert list(bus.directory) == []


def test_a_program_that_raises_shuts_the_others_down_and_is_logged(bus, caplog):
    idle = Idle(bus)
    with pytest.raises(ValueError, match="no luck"):
        notify.Dispatcher(idle, Failing(bus)).run()
    assert idle.stopping.is_set()
    assert "program 'failing' raised an exception" in caplog.text
    assert list(bus.directory) == []


@pytest.mark.parametrize("phase", ["pending", "arrived"])
@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_an_exception_in_a_phase_does_not_stop_the_shutdown_of_the_others(bus, caplog, phase, error):
    """The other programs are called in each phase, and finish their work."""
    told = []

    class Told(notify.Program):
        name = "told"

        def run(self):
            with self.service.suspend():
                super().run()
                self.service.report("finished")
                told.append("drained")

        def pending(self):
            told.append("pending")
            super().pending()

        def arrived(self):
            told.append("arrived")

    def fail():
        raise error("no luck")

    failing = Idle(bus)
    setattr(failing, phase, fail)
    dispatcher = notify.Dispatcher(Told(bus), failing, drain_s=5)
    dispatcher.timers.after(0.001, dispatcher.shutdown)
    with pytest.raises(error, match="no luck"):
        dispatcher.run()
    assert told == ["pending", "drained", "arrived"]
    assert failing.stopping.is_set()
    assert "the shutdown continues" in caplog.text
    assert "cut short" not in caplog.text
    assert list(bus.directory) == []


def test_a_program_whose_service_is_killed_ends(bus):
    program = Idle(bus, ttl_s=0.3)
    dispatcher = notify.Dispatcher(program)
    dispatcher.timers.after(0.05, lambda: bus.directory.kill("idle", why="enough"))
    dispatcher.run()
    with pytest.raises(notify.ServiceKilledError, match="enough"):
        program.service.check()


def test_a_failed_registration_withdraws_the_programs_before_it(bus):
    with bus.service("idle"), bus.service("taken"):

        class Exclusive(notify.Program):
            name = "taken"

            def __enter__(self):
                raise notify.ServiceNameTakenError("taken")

        with pytest.raises(notify.ServiceNameTakenError):
            notify.Dispatcher(Idle(bus), Exclusive(bus)).run()
        assert {service.name for service in bus.directory} == {"idle", "taken"}


def test_a_dispatcher_runs_once(bus):
    dispatcher = notify.Dispatcher(Ending(bus))
    dispatcher.run()
    with pytest.raises(notify.ClosedError):
        dispatcher.run()


def test_the_dispatcher_restores_the_signal_handlers(bus):
    before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    notify.Dispatcher(Ending(bus)).run()
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)] == before


def test_in_another_thread_the_dispatcher_runs_until_shutdown(bus):
    dispatcher = notify.Dispatcher(Idle(bus))
    thread = threading.Thread(target=dispatcher.run)
    thread.start()
    wait_until(lambda: "idle" in bus.directory)
    dispatcher.shutdown()
    thread.join(5)
    assert not thread.is_alive()


def test_N1_the_same_program_runs_in_one_process_and_in_several(bus, another_bus, start, server):
    """Only the connection differs: two buses in one process, or a process for each program."""
    far = start("dispatcher", server.url, 1, "far")
    far.told()
    with Idle(bus, name="near"), Idle(another_bus, name="nearer"):
        assert {service.name for service in bus.directory} == {"far", "near", "nearer"}
    far.go()
    os.kill(far.pid, signal.SIGTERM)
    far.rest()


@pytest.mark.parametrize("drain_s", [0, -1, float("nan"), "1"])
def test_a_drain_time_must_be_above_0(bus, drain_s):
    with pytest.raises(notify.SettingsError, match="drain_s"):
        notify.Dispatcher(Idle(bus), drain_s=drain_s)


def test_N2_a_running_request_delays_a_shutdown_and_is_answered(bus, another_bus):
    begun, may_end = threading.Event(), threading.Event()

    class Slow:
        def work(self) -> str:
            begun.set()
            may_end.wait(5)
            return "done"

    class Worker(notify.Program):
        name = "worker"

    dispatcher = notify.Dispatcher(Worker(bus, exports=Slow()))
    answers: list[str] = []
    calling = threading.Thread(target=lambda: answers.append(another_bus.call("worker", "work", timeout_s=10)))

    def end() -> None:
        calling.start()
        begun.wait(5)
        dispatcher.shutdown()
        threading.Timer(0.1, may_end.set).start()

    dispatcher.timers.after(0.05, end)
    dispatcher.run()
    calling.join()
    assert answers == ["done"]


def test_N2_waiting_requests_do_not_begin_and_do_not_delay_a_shutdown(bus, another_bus):
    """Requests that wait when the shutdown becomes pending are never run."""
    begun, ran, may_end = threading.Event(), [], threading.Event()

    class Desk:
        def work(self, number: int) -> int:
            ran.append(number)
            begun.set()
            may_end.wait(10)
            return number

    class Told(notify.Program):
        name = "desk"

        def pending(self) -> None:
            super().pending()
            may_end.set()

    dispatcher = notify.Dispatcher(Told(bus, exports=Desk()))
    running = threading.Thread(target=dispatcher.run)
    running.start()
    wait_until(lambda: "desk" in bus.directory)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(another_bus.call, "desk", "work", 0, timeout_s=20)
        assert begun.wait(5)
        others = [pool.submit(another_bus.call, "desk", "work", number, timeout_s=20) for number in (1, 2)]
        requests = bus.keys.requests(due_member("desk", bus.directory.lookup("desk").incarnation))
        wait_until(lambda: bus.redis.xlen(requests) == 2, what="the waiting of the others")
        dispatcher.shutdown()
        assert first.result(5) == 0
        for other in others:
            with pytest.raises(notify.ServiceWithdrawnError, match="the method had not begun, and will not"):
                other.result(5)
    running.join(5)
    assert ran == [0]
