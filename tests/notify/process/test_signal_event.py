"""The event for signal handlers. It is tested in a process of its own, so that a deadlock can be ended."""

import signal
import threading

import pytest

from notify.process.signal_event import SignalSafeEvent

pytestmark = pytest.mark.any_server


@pytest.mark.parametrize("waiter", ["flag", "dispatcher", "command"])
def test_a_signal_at_any_moment_of_a_wait_ends_it(start, waiter):
    process = start("waiter", waiter)
    moments = process.rest()
    assert len(moments) > 2, "no signal came within the waiting"
    assert process.end() == 0


def test_the_twin_with_a_threading_event_hangs(start):
    process = start("waiter", "event")
    with pytest.raises(AssertionError, match="printed nothing"):
        list(iter(lambda: process.told(timeout_s=3), None))


def test_all_waiting_threads_and_later_ones_continue():
    flag, passed = SignalSafeEvent(), threading.Barrier(4)
    threads = [threading.Thread(target=lambda: (flag.wait(10), passed.wait(10))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert not flag.is_set
    flag.set()
    flag.set()
    passed.wait(10)
    for thread in threads:
        thread.join(10)
    assert flag.is_set
    assert flag.wait(0)


def test_a_wait_returns_whether_the_event_was_set():
    flag = SignalSafeEvent()
    assert not flag.wait(0)
    assert not flag.wait(0.01)


def test_a_signal_received_by_another_thread_is_handled_as_well():
    """The kernel may deliver a signal to any thread. Python runs the handler in the main thread, which the signal does not wake."""
    flag = SignalSafeEvent()
    before = signal.signal(signal.SIGUSR1, lambda *_: flag.set())
    hit = threading.Timer(0.05, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGUSR1))
    try:
        hit.start()
        assert flag.wait()
    finally:
        hit.join()
        signal.signal(signal.SIGUSR1, before)
