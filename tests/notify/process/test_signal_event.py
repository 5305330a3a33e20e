"""What a signal handler sets while the same thread waits for it, in a process of its own: a deadlock must end with it."""

import signal
import threading

import pytest

from notify.process.signal_event import SignalSafeEvent

pytestmark = pytest.mark.any_server


@pytest.mark.parametrize("waiter", ["flag", "dispatcher", "command"])
def test_a_signal_at_any_moment_of_the_waiting_ends_it(start, waiter):
    process = start("waiter", waiter)
    moments = process.rest()
    assert len(moments) > 2, "no signal came within the waiting"
    assert process.end() == 0


def test_the_twin_that_waits_for_an_event_of_threading_hangs(start):
    process = start("waiter", "event")
    with pytest.raises(AssertionError, match="said nothing"):
        list(iter(lambda: process.told(timeout_s=3), None))


def test_all_that_wait_go_on_and_those_that_come_later():
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


def test_who_waits_for_a_time_is_told_whether_it_was_set():
    flag = SignalSafeEvent()
    assert not flag.wait(0)
    assert not flag.wait(0.01)


def test_a_signal_that_another_thread_received_is_heard_as_well():
    """The kernel may give it to any; Python's handler runs in the main thread, which nothing wakes."""
    flag = SignalSafeEvent()
    before = signal.signal(signal.SIGUSR1, lambda *_: flag.set())
    hit = threading.Timer(0.05, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGUSR1))
    try:
        hit.start()
        assert flag.wait()
    finally:
        hit.join()
        signal.signal(signal.SIGUSR1, before)
