"""The notification manager: callbacks of named clients, independent of each other; a service that others find."""

import threading
from collections.abc import Iterator

import pytest

import notify
from notify import ClosedError, DuplicateClientNameError, InvalidTopicError, NotificationManager, NotSubscribedError, ServiceKilledError
from notify.events import subscriber
from notify.testing import wait_until
from tests.support.faults import beat, publish_unheard, trim


@pytest.fixture
def manager(bus: notify.Bus) -> Iterator[NotificationManager]:
    with bus.manager() as manager:
        yield manager


class Calls(list[object]):
    """A callback that records the contents of its events."""

    def __call__(self, event: notify.Event) -> None:
        self.append(event.contents)

    def become(self, expected: list[object]) -> bool:
        wait_until(lambda: len(self) >= len(expected), what=f"{expected}, not {self},")
        return self == expected


def _wait_for_end_of(client: str) -> None:
    wait_until(lambda: f"notify-client-{client}" not in {thread.name for thread in threading.enumerate()}, what=f"the end of {client}")


def test_L1_a_manager_is_a_service_found_by_its_capabilities(bus):
    with bus.manager() as first, bus.manager() as second:
        assert (first.name, second.name) == ("notification-manager", "notification-manager-2")
        assert bus.directory.find(provides="register_publisher").name == first.name
        assert [service.name for service in bus.directory.find_all(provides="subscribe")] == [first.name, second.name]
    assert not list(bus.directory)


def test_L2_a_topic_is_known_once_a_publisher_is_registered(bus, manager):
    """The publisher is callable."""
    publish = manager.register_publisher("temperature")
    assert manager.topics() == ["services", "temperature"]
    calls = Calls()
    manager.subscribe("client", calls, "temperature")
    publish(21)
    manager.register_publisher("temperature")(22)
    bus.publish("temperature", 23)
    assert calls.become([21, 22, 23])


def test_L3_every_client_gets_every_event_in_order(bus, manager):
    clients = [Calls() for _ in range(5)]
    for number, calls in enumerate(clients):
        manager.subscribe(f"client-{number}", calls, "t")
    for number in range(100):
        bus.publish("t", number)
    assert all(calls.become(list(range(100))) for calls in clients)


def test_L3_publishing_without_a_subscriber_does_nothing(bus, manager):
    manager.register_publisher("t")(1)


def test_L3_a_callback_that_blocks_or_raises_delays_no_other_client(bus, manager, caplog):
    """The publisher gets no error."""
    blocked, calls, more = threading.Event(), Calls(), Calls()

    def block(event: notify.Event) -> None:
        blocked.wait(30)
        more(event)

    def fail(event: notify.Event) -> None:
        raise ZeroDivisionError(event.contents)

    manager.subscribe("slow", block, "t")
    manager.subscribe("failing", fail, "t")
    manager.subscribe("good", calls, "t")
    for number in range(3):
        bus.publish("t", number)
    assert calls.become([0, 1, 2])
    wait_until(lambda: caplog.text.count("the callback of client 'failing' raised on an event of 't'") == 3)
    assert more == []
    blocked.set()
    assert more.become([0, 1, 2])


def test_L3_a_callback_can_publish_subscribe_and_unsubscribe(bus, manager):
    calls, inner = Calls(), Calls()

    def do_everything(event: notify.Event) -> None:
        bus.publish("u", "from inside")
        manager.subscribe("inner", inner, "v")
        manager.subscribe("again", inner, "t")
        manager.unsubscribe("again")
        manager.unsubscribe("client")
        bus.publish("v", "from inside too")
        calls(event)

    manager.subscribe("client", do_everything, "t")
    manager.subscribe("other", calls, "u")
    bus.publish("t", 1)
    wait_until(lambda: sorted(map(str, calls)) == ["1", "from inside"])
    assert inner.become(["from inside too"])
    with pytest.raises(NotSubscribedError):
        manager.unsubscribe("client")


def test_M12_a_callback_that_unsubscribes_itself_gets_no_further_event(bus, manager):
    calls = Calls()

    def once(event: notify.Event) -> None:
        calls(event)
        manager.unsubscribe("client")

    manager.subscribe("client", once, "t")
    for number in range(5):
        bus.publish("t", number)
    _wait_for_end_of("client")
    assert calls == [0]


def test_closing_a_manager_inside_a_callback_does_not_deadlock(bus):
    closed = threading.Event()
    manager = bus.manager().open()
    other = Calls()

    def close(_: notify.Event) -> None:
        manager.close()
        closed.set()

    manager.subscribe("client", close, "t")
    manager.subscribe("other", other, "t")
    bus.publish("t", 1)
    assert closed.wait(5)
    assert not list(bus.directory)


def test_L4_a_client_name_can_be_used_again_on_other_topics(bus, manager):
    """Unknown topics are allowed."""
    calls = Calls()
    manager.subscribe("client", calls, "t", "never-heard-of")
    manager.subscribe("client", calls, "u")
    manager.subscribe("another", calls, "t")
    bus.publish("u", "u")
    assert calls.become(["u"])
    bus.publish("never-heard-of", "n")
    assert calls.become(["u", "n"])


def test_L4_a_duplicate_client_name_subscribes_to_none_of_the_topics(bus, manager):
    calls, duplicate = Calls(), Calls()
    manager.subscribe("client", calls, "b")
    with pytest.raises(DuplicateClientNameError, match="a client named 'client' is already subscribed to b"):
        manager.subscribe("client", duplicate, "a", "b", "c")
    assert bus.redis.pubsub_channels("notify:event:*") == [b"notify:event:b"]
    for topic in ("a", "b", "c"):
        bus.publish(topic, topic)
    assert calls.become(["b"])
    manager.subscribe("client", duplicate, "a", "c")
    bus.publish("c", "again")
    assert duplicate.become(["again"])


def test_L4_subscribing_to_no_topics_does_nothing(bus, manager):
    manager.subscribe("client", Calls())
    assert bus.redis.pubsub_numpat() == 0
    assert bus.redis.pubsub_channels() == []
    with pytest.raises(NotSubscribedError):
        manager.unsubscribe("client")


@pytest.mark.parametrize("topic", ["", None, "x" * 513])
def test_L4_one_invalid_topic_subscribes_to_none(bus, manager, topic):
    with pytest.raises(InvalidTopicError):
        manager.subscribe("client", Calls(), "t", topic)
    assert bus.redis.pubsub_channels() == []
    manager.subscribe("client", Calls(), "t")


def test_M12_a_callback_that_is_not_callable_is_refused(manager):
    with pytest.raises(TypeError, match="the callback of 'client' must be callable"):
        manager.subscribe("client", "not callable", "t")
    with pytest.raises(TypeError, match="must be callable, not 'not callable'"):
        manager.subscribe("client", Calls(), "t", on_gap="not callable")
    with pytest.raises(NotSubscribedError):
        manager.unsubscribe("client")


def test_M12_subscribing_or_unsubscribing_twice_raises(bus, manager):
    """Clients have names here: where the source returned False, an error is raised, and nothing is changed."""
    calls = Calls()
    manager.subscribe("client", calls, "t")
    with pytest.raises(DuplicateClientNameError):
        manager.subscribe("client", calls, "t")
    bus.publish("t", 1)
    assert calls.become([1])
    manager.unsubscribe("client", "t")
    with pytest.raises(NotSubscribedError):
        manager.unsubscribe("client", "t")


def test_L4_concurrent_subscriptions_of_one_name_make_one(manager):
    together, refused = threading.Barrier(8), []

    def subscribe() -> None:
        together.wait()
        try:
            manager.subscribe("client", Calls(), "t")
        except DuplicateClientNameError as exc:
            refused.append(exc)

    threads = [threading.Thread(target=subscribe) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 7


def test_N11_a_client_can_subscribe_to_patterns(bus, manager):
    calls = Calls()
    manager.subscribe("client", calls, "lab.*", "exact")
    for topic in ("lab.door", "lab", "exactly", "exact"):
        bus.publish(topic, topic)
    assert calls.become(["lab.door", "exact"])


def test_L5_calls_end_with_unsubscribing_and_resume_with_subscribing(bus, manager):
    calls = Calls()
    manager.subscribe("client", calls, "t")
    bus.publish("t", 1)
    assert calls.become([1])
    manager.unsubscribe("client", "t")
    _wait_for_end_of("client")
    bus.publish("t", 2)
    manager.subscribe("client", calls, "t")
    bus.publish("t", 3)
    assert calls.become([1, 3])


def test_L5_unsubscribing_from_some_topics_keeps_the_others(bus, manager):
    calls = Calls()
    manager.subscribe("client", calls, "a", "b", "lab.*", "back\\slash", "backslash")
    manager.subscribe("client", calls, "c")
    manager.unsubscribe("client", "b", "c", "backslash")
    for topic in ("b", "c", "lab.door", "backslash", "back\\slash", "a"):
        bus.publish(topic, topic)
    assert calls.become(["lab.door", "back\\slash", "a"])
    manager.unsubscribe("client", "lab.*")
    for topic in ("lab.door", "a"):
        bus.publish(topic, topic)
    assert calls.become(["lab.door", "back\\slash", "a", "a"])
    manager.unsubscribe("client")
    _wait_for_end_of("client")
    with pytest.raises(NotSubscribedError):
        manager.unsubscribe("client")


@pytest.mark.parametrize(("client", "topics"), [("client", ["a", "unknown"]), ("stranger", ["a"]), ("stranger", []), ("client", ["a*"])])
def test_L5_one_unknown_topic_or_client_raises_and_changes_nothing(bus, manager, client, topics):
    calls = Calls()
    manager.subscribe("client", calls, "a", "b")
    with pytest.raises(NotSubscribedError, match=f"no client named '{client}'"):
        manager.unsubscribe(client, *topics)
    bus.publish("a", 1)
    bus.publish("b", 2)
    assert calls.become([1, 2])


def test_unsubscribing_while_events_arrive_loses_no_other_events(bus, manager):
    """One thread iterates over the set of topics while another removes topics."""
    calls, topics = Calls(), [f"p{number}*" for number in range(100)]
    manager.subscribe("client", calls, *topics, "t")
    for number in range(100):
        bus.publish(f"p{99 - number}", number)
        manager.unsubscribe("client", topics[number])
    bus.publish("t", "still there")
    wait_until(lambda: calls and calls[-1] == "still there")


def test_a_closed_manager_leaves_no_thread_and_refuses_every_call(bus):
    calls = Calls()
    with bus.manager() as manager:
        manager.subscribe("client", calls, "t")
        bus.publish("t", 1)
        assert calls.become([1])
    manager.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("notify-client")]
    assert bus.redis.pubsub_channels() == []
    for call in (lambda: manager.subscribe("client", calls, "t"), lambda: manager.register_publisher("t")):
        with pytest.raises(ClosedError, match="closed"):
            call()


def test_a_publisher_of_a_closed_manager_publishes_nothing(bus):
    with bus.manager() as manager:
        publish = manager.register_publisher("t")
        publish(1)
    with pytest.raises(ClosedError, match="is closed: connect again"):
        publish(2)
    assert bus.redis.xlen(bus.keys.log("t")) == 1


def test_events_missed_for_good_are_logged_and_delivery_goes_on(bus, manager, caplog, monkeypatch):
    monkeypatch.setattr(subscriber, "REPAIR_AFTER_S", 3600.0)
    calls = Calls()
    manager.subscribe("client", calls, "t")
    bus.publish("t", 1)
    assert calls.become([1])
    publish_unheard(bus, "t", "lost")
    trim(bus, "t", keep=0)
    bus.publish("t", 2)
    assert calls.become([1, 2])
    assert "events for client 'client' are lost, the log does not have them any more: Gap(topic='t', reason='trimmed'" in caplog.text


def test_on_gap_is_called_in_sequence_for_events_missed_for_good(bus, manager, monkeypatch, caplog):
    monkeypatch.setattr(subscriber, "REPAIR_AFTER_S", 3600.0)
    items: list[notify.Event | notify.Gap] = []
    manager.subscribe("client", items.append, "t", on_gap=items.append)
    seen = bus.publish("t", 1)
    wait_until(lambda: len(items) == 1)
    lost = publish_unheard(bus, "t", "lost")
    trim(bus, "t", keep=0)
    bus.publish("t", 2)
    wait_until(lambda: len(items) == 3)
    assert items[1] == notify.Gap("t", "trimmed", first=seen, last=lost)
    assert [items[0].contents, items[2].contents] == [1, 2]
    assert "missed events" not in caplog.text


def test_a_manager_killed_from_outside_refuses_new_subscriptions(bus, manager):
    bus.directory.kill(manager.name)
    beat(manager._service)
    for call in (lambda: manager.subscribe("client", Calls(), "t"), lambda: manager.register_publisher("t")):
        with pytest.raises(ServiceKilledError):
            call()


def test_a_manager_that_is_not_open_refuses(bus):
    with pytest.raises(ClosedError, match="not open"):
        bus.manager().subscribe("client", Calls(), "t")
