"""Signals of a command, sent to the process of the tests itself."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import typer

from cli.signals import Stop, shielded
from cli.start import INTERRUPTED, SIGNALS, ignore_signals, unwind_on_signals

pytestmark = pytest.mark.usefixtures("_signals")


def interrupts(signum: signal.Signals) -> bool:
    try:
        signal.raise_signal(signum)
    except KeyboardInterrupt:
        return True
    return False


@pytest.mark.parametrize("signum", SIGNALS)
def test_each_signal_unwinds_once(signum: signal.Signals) -> None:
    unwind_on_signals()
    assert interrupts(signum)
    assert not any(interrupts(again) for again in SIGNALS)


def test_what_unwinds_is_not_the_exception_at_which_python_kills_itself() -> None:
    unwind_on_signals()
    with pytest.raises(KeyboardInterrupt) as raised:
        exec("signal.raise_signal(signal.SIGINT)", {"signal": signal})  # noqa: S102  # here Python would kill itself
    assert raised.type is not KeyboardInterrupt


def test_the_first_signal_asks_and_the_second_insists() -> None:
    with Stop() as stop:
        assert not stop.asked
        signal.raise_signal(signal.SIGTERM)
        assert stop.asked
        assert stop.wait(0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_was_asked_to_stop_has_done_its_work(signum: signal.Signals) -> None:
    with Stop():
        signal.raise_signal(signum)
    signal.raise_signal(signum)  # ignored while the command ends


def test_a_command_that_ctrl_c_stopped_was_interrupted() -> None:
    with pytest.raises(typer.Exit) as raised, Stop():
        signal.raise_signal(signal.SIGINT)
    assert raised.value.exit_code == INTERRUPTED


def test_an_error_is_not_hidden_by_ctrl_c() -> None:
    def fail() -> None:
        signal.raise_signal(signal.SIGINT)
        raise LookupError

    with pytest.raises(LookupError), Stop():
        fail()


def test_after_an_end_without_a_signal_the_next_one_unwinds() -> None:
    with Stop():
        pass
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_nohup_stays_in_force() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    unwind_on_signals()
    with Stop() as stop:
        signal.raise_signal(signal.SIGHUP)
        assert not stop.asked


def test_ctrl_c_works_in_what_a_script_started_in_the_background() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    unwind_on_signals()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_waiting_for_somebody_else_ends_at_the_first_signal() -> None:
    reading, writing = os.pipe()
    with Stop() as stop:
        with stop.interrupting():
            signal.raise_signal(signal.SIGTERM)
            os.read(reading, 1)
            pytest.fail("it waits for ever")
        assert stop.asked
    os.close(reading)
    os.close(writing)


def test_outside_of_such_a_wait_nothing_is_cut_short() -> None:
    with Stop() as stop:
        with stop.interrupting():
            pass
        signal.raise_signal(signal.SIGTERM)
        assert stop.asked


class Door:
    """A context manager; a signal arrives during the steps in ``pushed``."""

    def __init__(self, pushed: set[str]) -> None:
        self.pushed = pushed
        self.steps: list[str] = []

    @contextmanager
    def __call__(self) -> Iterator["Door"]:
        self.step("opening")
        try:
            yield self
        finally:
            self.step("closing")

    def step(self, name: str) -> None:
        if name in self.pushed:
            signal.raise_signal(signal.SIGINT)
        self.steps.append(name)


@pytest.mark.parametrize("moment", ["opening", "closing"])
def test_a_signal_waits_until_the_private_server_is_up_or_down(moment: str) -> None:
    unwind_on_signals()
    door = Door({moment})
    with pytest.raises(KeyboardInterrupt), shielded(door):
        door.step("inside")
    assert door.steps == (["opening", "closing"] if moment == "opening" else ["opening", "inside", "closing"])


def test_between_up_and_down_a_signal_is_heard_at_once() -> None:
    unwind_on_signals()
    with pytest.raises(KeyboardInterrupt), shielded(Door(set())):
        signal.raise_signal(signal.SIGINT)


def test_a_signal_while_it_goes_up_asks_a_command_that_stops_in_order() -> None:
    door = Door({"opening"})
    with pytest.raises(typer.Exit), Stop() as stop, shielded(door):
        assert stop.asked
    assert door.steps == ["opening", "closing"]


def test_ignored_signals_change_nothing() -> None:
    ignore_signals()
    for signum in SIGNALS:
        signal.raise_signal(signum)
