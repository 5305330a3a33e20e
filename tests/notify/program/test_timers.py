"""Timers: calls at a later time."""

import sys
import threading
from collections import deque

import pytest

import notify
from notify import Priority, Timers
from notify.testing import wait_until

pytestmark = pytest.mark.any_server


@pytest.fixture
def timers():
    with Timers() as running:
        yield running


def test_N14_a_timer_calls_once_at_its_time(timers):
    called = threading.Event()
    times: deque[int] = deque()
    timers.after(0.01, lambda: times.append(1))
    timers.after(0.1, called.set)
    assert called.wait(5)
    assert list(times) == [1]


def test_N14_a_repeated_call_is_made_until_it_is_cancelled(timers):
    times: deque[int] = deque()
    timer = timers.every(0.005, lambda: times.append(1))
    wait_until(lambda: len(times) >= 3)
    timer.cancel()
    timer.cancel()
    reached = threading.Event()
    before = len(times)
    timers.after(0.05, reached.set)
    assert reached.wait(5)
    assert len(times) <= before + 1


def test_N14_a_cancelled_call_is_never_made(timers):
    called = threading.Event()
    reached = threading.Event()
    timers.after(0.01, called.set).cancel()
    timers.after(0.05, reached.set)
    assert reached.wait(5)
    assert not called.is_set()


def test_N14_a_call_can_cancel_itself(timers):
    times: deque[int] = deque()
    reached = threading.Event()

    def once() -> None:
        times.append(1)
        timer.cancel()

    timer = timers.every(0.005, once)
    timers.after(0.1, reached.set)
    assert reached.wait(5)
    assert len(times) == 1


def test_N14_urgent_calls_come_before_standard_and_idle_ones():
    order: list[str] = []
    done = threading.Event()
    timers = Timers()
    for priority in (Priority.IDLE, Priority.STANDARD, Priority.URGENT):
        timers.after(0.001, lambda p=priority: order.append(p.name), priority=priority)
    timers.after(0.2, done.set, priority=Priority.IDLE)
    threading.Event().wait(0.01)  # all three are due before the thread checks
    with timers:
        assert done.wait(5)
    assert order == ["URGENT", "STANDARD", "IDLE"]


def test_N14_an_idle_call_waits_while_another_is_about_to_be_due():
    order: list[str] = []
    done = threading.Event()
    with Timers() as timers:
        timers.after(0.03, lambda: order.append("standard"))
        timers.after(0.001, lambda: order.append("idle"), priority=Priority.IDLE)
        timers.after(0.2, done.set)
        assert done.wait(5)
    assert order == ["standard", "idle"]


def test_an_exception_of_a_call_is_logged_and_the_timers_continue(timers, caplog):
    called = threading.Event()
    timers.after(0.001, lambda: 1 / 0)
    timers.after(0.01, called.set)
    assert called.wait(5)
    assert "ZeroDivisionError" in caplog.text


def test_a_slow_call_skips_the_times_that_it_missed(timers):
    starts: deque[int] = deque()
    slow = threading.Event()
    timers.every(0.01, lambda: (starts.append(1), slow.wait(0.2)))
    reached = threading.Event()
    timers.after(0.25, reached.set)
    assert reached.wait(5)
    assert len(starts) <= 3


def test_closing_waits_for_the_running_call_and_makes_no_other():
    begun, finished, late = threading.Event(), threading.Event(), threading.Event()
    timers = Timers().open()
    timers.after(0.001, lambda: (begun.set(), threading.Event().wait(0.05), finished.set()))
    timers.after(0.02, late.set)
    assert begun.wait(5)
    timers.close()
    assert finished.is_set()
    assert not late.is_set()


def test_closing_waits_for_a_call_no_longer_than_its_timeout():
    begun, may_end = threading.Event(), threading.Event()
    timers = Timers().open()
    timers.after(0.001, lambda: (begun.set(), may_end.wait(10)))
    assert begun.wait(5)
    assert not timers.close(timeout_s=0.01)
    may_end.set()
    assert timers.close()


def test_a_call_can_close_its_timers():
    closed = threading.Event()
    timers = Timers().open()
    timers.after(0.001, lambda: (timers.close(), closed.set()))
    assert closed.wait(5)
    assert timers.close()


def test_a_call_that_exits_does_not_prevent_other_calls(timers, caplog):
    called = threading.Event()
    timers.after(0.001, lambda: sys.exit(1))
    timers.after(0.01, called.set)
    assert called.wait(5)
    assert "SystemExit" in caplog.text


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), "1", None])
def test_a_delay_must_be_above_0(timers, seconds):
    with pytest.raises(notify.SettingsError):
        timers.after(seconds, print)
    with pytest.raises(notify.SettingsError):
        timers.every(seconds, print)
