"""Calls at a later time."""

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


def test_N14_a_call_comes_once_at_its_time(timers):
    called = threading.Event()
    times: deque[int] = deque()
    timers.after(0.01, lambda: times.append(1))
    timers.after(0.1, called.set)
    assert called.wait(5)
    assert list(times) == [1]


def test_N14_a_call_again_and_again_comes_until_it_is_cancelled(timers):
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


def test_N14_a_cancelled_call_never_comes(timers):
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


def test_N14_what_is_urgent_comes_before_what_is_standard_and_what_is_idle_last():
    order: list[str] = []
    done = threading.Event()
    timers = Timers()
    for priority in (Priority.IDLE, Priority.STANDARD, Priority.URGENT):
        timers.after(0.001, lambda p=priority: order.append(p.name), priority=priority)
    timers.after(0.2, done.set, priority=Priority.IDLE)
    threading.Event().wait(0.01)  # all three are due before anybody looks
    with timers:
        assert done.wait(5)
    assert order == ["URGENT", "STANDARD", "IDLE"]


def test_N14_what_is_idle_waits_while_something_else_is_about_to_come():
    order: list[str] = []
    done = threading.Event()
    with Timers() as timers:
        timers.after(0.03, lambda: order.append("standard"))
        timers.after(0.001, lambda: order.append("idle"), priority=Priority.IDLE)
        timers.after(0.2, done.set)
        assert done.wait(5)
    assert order == ["standard", "idle"]


def test_a_call_that_fails_is_logged_and_harms_nobody(timers, caplog):
    called = threading.Event()
    timers.after(0.001, lambda: 1 / 0)
    timers.after(0.01, called.set)
    assert called.wait(5)
    assert "ZeroDivisionError" in caplog.text


def test_a_slow_call_leaves_out_the_turns_that_it_missed(timers):
    starts: deque[int] = deque()
    slow = threading.Event()
    timers.every(0.01, lambda: (starts.append(1), slow.wait(0.2)))
    reached = threading.Event()
    timers.after(0.25, reached.set)
    assert reached.wait(5)
    assert len(starts) <= 3


def test_closing_waits_for_the_call_in_hand_and_makes_no_other():
    begun, finished, late = threading.Event(), threading.Event(), threading.Event()
    timers = Timers().open()
    timers.after(0.001, lambda: (begun.set(), threading.Event().wait(0.05), finished.set()))
    timers.after(0.02, late.set)
    assert begun.wait(5)
    timers.close()
    assert finished.is_set()
    assert not late.is_set()


def test_closing_does_not_wait_for_a_call_beyond_its_time():
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


def test_a_call_that_exits_ends_no_other(timers, caplog):
    called = threading.Event()
    timers.after(0.001, lambda: sys.exit(1))
    timers.after(0.01, called.set)
    assert called.wait(5)
    assert "SystemExit" in caplog.text


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), "1", None])
def test_a_time_is_seconds_above_nothing(timers, seconds):
    with pytest.raises(notify.SettingsError):
        timers.after(seconds, print)
    with pytest.raises(notify.SettingsError):
        timers.every(seconds, print)
