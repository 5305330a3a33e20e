"""The topics of a manager's client: names, patterns, message classes, one or several."""

import pytest

import notify
from notify.testing import wait_until


@pytest.fixture
def manager(bus):
    with bus.manager() as manager:
        yield manager


class Reading(notify.Message, topic="temperature"):
    celsius: float


def test_M5_a_callback_gets_instances_of_the_message_class_of_its_topic(bus, manager, caplog):
    """Contents that do not fit the class are logged once and skipped, and delivery goes on. Other topics keep their contents."""
    calls = []
    manager.subscribe("client", calls.append, Reading, "humid*")
    manager.register_publisher(Reading)(Reading(celsius=20.5))
    for contents in ("warm", {"celsius": "hot"}, {"celsius": 21.5}):
        bus.publish("temperature", contents)
    bus.publish("humidity", {"celsius": 1})
    wait_until(lambda: len(calls) == 3)
    contents = [event.contents for event in calls]
    assert contents == [Reading(celsius=20.5), Reading(celsius=21.5), {"celsius": 1}]
    assert [record.levelname for record in caplog.records if "skips an event that cannot be decoded" in record.getMessage()] == ["ERROR"]
    with pytest.raises(notify.DuplicateClientNameError, match="temperature"):
        manager.subscribe("client", calls.append, "temperature")
    manager.unsubscribe("client", Reading)
    with pytest.raises(notify.NotSubscribedError, match="temperature"):
        manager.unsubscribe("client", Reading)


def test_M5_a_class_that_is_no_message_class_is_refused(manager):
    for wrong in (int, notify.Message):
        with pytest.raises(notify.ContentsError, match="is not a message class with a topic"):
            manager.subscribe("client", print, wrong)
    with pytest.raises(notify.NotSubscribedError):
        manager.unsubscribe("client")


def test_S1_topics_are_given_one_by_one_or_as_a_list(bus, manager):
    calls = []
    manager.subscribe("client", calls.append, ["a", "b"], "c")
    manager.subscribe("client", calls.append, [])
    for topic in ("a", "b", "c"):
        bus.publish(topic, topic)
    wait_until(lambda: len(calls) == 3)
    assert sorted(event.contents for event in calls) == ["a", "b", "c"]
    manager.unsubscribe("client", [])
    manager.unsubscribe("client", ["a", "b"])
    with pytest.raises(notify.NotSubscribedError, match="a"):
        manager.unsubscribe("client", "a")
    manager.unsubscribe("client", "c")
