"""The callbacks of a listener: several of them, typed events, and changes while it is open."""

import os

import pytest

import notify
from notify.testing import wait_until
from tests.support.processes import receivers

pytestmark = pytest.mark.any_server


@pytest.fixture(autouse=True)
def _no_receiver_left():
    yield
    assert receivers(os.getpid()) == []


class Reading(notify.Message, topic="temperature"):
    celsius: float

    def __post_init__(self) -> None:
        if self.celsius < -274:
            raise ArithmeticError("too cold")


def test_M5_the_callback_of_a_listener_gets_instances_of_the_message_class(bus, caplog):
    """Events that do not fit the class are counted, the first one is logged, and the listener goes on."""
    received = []
    with bus.listen([Reading, "humid*"], callback=received.append) as listener:
        bus.publish(Reading(celsius=20.5))
        for contents in ("warm", {"celsius": "hot"}, {"celsius": -300}, {"celsius": 21.5, "sensor": "attic"}):
            bus.publish("temperature", contents)
        bus.publish("humidity", {"celsius": 1})
        wait_until(lambda: len(received) == 3, timeout_s=15)
        assert listener.skipped == 3
    typed = [event.contents for event in received if event.topic == "temperature"]
    assert typed == [Reading(celsius=20.5), Reading(celsius=21.5, extras={"sensor": "attic"})]
    assert [event.contents for event in received if event.topic == "humidity"] == [{"celsius": 1}]
    assert [record.levelname for record in caplog.records if "skips an event that cannot be decoded" in record.getMessage()] == ["ERROR"]


def test_M5_a_class_that_is_no_message_class_is_refused_by_listen(bus):
    for wrong in (int, notify.Message):
        with pytest.raises(notify.ContentsError, match="is not a message class with a topic"):
            bus.listen(wrong, callback=print)


def test_M5_events_skipped_before_the_receiver_is_killed_are_not_read_again(bus):
    received = []
    with bus.listen(Reading, callback=received.append) as listener:
        bus.publish("temperature", "warm")
        wait_until(lambda: listener.skipped == 1, timeout_s=15)
        (pid,) = receivers(os.getpid())
        os.kill(pid, 9)
        bus.publish(Reading(celsius=1))
        wait_until(lambda: received, timeout_s=15)
        assert listener.skipped == 1


def test_M12_subscribing_and_unsubscribing_twice_return_true_then_false(bus):
    received = []
    listener = bus.listen("t")
    assert [listener.subscribe(received.append), listener.subscribe(received.append)] == [True, False]
    with listener:
        bus.publish("t", 1)
        wait_until(lambda: len(received) == 1, timeout_s=15)
        assert [listener.unsubscribe(received.append), listener.unsubscribe(received.append)] == [True, False]
        other = []
        assert listener.subscribe(other.append)
        bus.publish("t", 2)
        wait_until(lambda: len(other) == 1, timeout_s=15)
    assert [event.contents for event in received] == [1]


def test_M12_a_callback_that_cannot_be_called_is_a_type_error(bus):
    listener = bus.listen("t", callback=print)
    for change in (listener.subscribe, listener.unsubscribe):
        with pytest.raises(TypeError, match="must be callable, not 'print'"):
            change("print")
    assert listener.unsubscribe(print)


def test_M12_a_callback_can_unsubscribe_itself_or_a_later_one(bus, caplog):
    """Nobody is called after it was unsubscribed, not even with the same event; one that raises stops no other."""
    calls = []

    def once(event: notify.Event) -> None:
        calls.append(("once", event.contents))
        assert listener.unsubscribe(once)
        listener.unsubscribe(never)
        raise ValueError("once is enough")

    def never(event: notify.Event) -> None:
        calls.append(("never", event.contents))

    def always(event: notify.Event) -> None:
        calls.append(("always", event.contents))

    listener = bus.listen("t", callback=once)
    listener.subscribe(never)
    listener.subscribe(always)
    with listener:
        bus.publish("t", 1)
        bus.publish("t", 2)
        wait_until(lambda: len(calls) == 3, timeout_s=15)
    assert calls == [("once", 1), ("always", 1), ("always", 2)]
    assert "once is enough" in caplog.text


def test_M12_events_without_a_callback_are_dropped(bus):
    received = []
    with bus.listen("t") as listener:
        bus.publish("t", 1)
        listener.subscribe(received.append)
        bus.publish("t", 2)
        wait_until(lambda: received and received[-1].contents == 2, timeout_s=15)
