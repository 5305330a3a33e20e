"""Demand: the subscribers of a topic, read from the connections of the server."""

import threading
import time
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import redis

import notify
from notify import ClosedError, InvalidTopicError, Joined, Left, ServerUnreachableError
from notify.events import demand as demand_module
from notify.testing import wait_until
from tests.support.faults import cut


@pytest.fixture
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the subscribers every few milliseconds."""
    monkeypatch.setattr(demand_module, "POLL_S", 0.01)


pytestmark = pytest.mark.usefixtures("_often")


def test_N12_changes_name_the_subscriber_and_the_number_of_subscribers(bus, another_bus):
    with bus.demand("t") as demand:
        assert demand.get(0) is None
        with bus.subscribe("t"):
            assert demand.get(5) == Joined("t", "test", 1)
            with another_bus.subscribe("t", "u"):
                assert demand.get(5) == Joined("t", "another", 2)
                assert demand.listeners() == ["another", "test"]
            assert demand.get(5) == Left("t", "another", 1)
        assert demand.get(5) == Left("t", "test", 0)
        assert demand.get(0.05) is None
        assert demand.listeners() == []


def test_N12_present_subscribers_are_reported_first(bus, another_bus):
    with bus.subscribe("t"), another_bus.subscribe("t"), another_bus.subscribe("u"), bus.demand("t") as demand:
        assert [demand.get(0), demand.get(0), demand.get(0)] == [Joined("t", "another", 1), Joined("t", "test", 2), None]


def test_N12_a_publisher_works_only_while_there_are_subscribers(bus, another_bus):
    published: list[str] = []

    def work() -> None:
        with suppress(ClosedError):
            while demand.wait():
                published.append(bus.publish("t", len(published)))

    worker = threading.Thread(target=work)
    with bus.demand("t") as demand:
        worker.start()
        for _ in range(2):
            assert _rests(published)
            so_far = len(published)
            with another_bus.subscribe("t") as events:
                assert events.get(5) is not None
                wait_until(partial(_exceeds, published, so_far))
            wait_until(lambda: _rests(published), what="the rest of the publisher")
    worker.join(5)
    assert not worker.is_alive()


def _exceeds(published: list[str], count: int) -> bool:
    return len(published) > count


def _rests(published: list[str]) -> bool:
    """Return whether nothing is published during several readings."""
    before = len(published)
    threading.Event().wait(0.1)
    return len(published) == before


def test_N12_a_killed_subscriber_is_reported_as_left(server, bus, start, tmp_path):
    reader = start("reader", server.url, tmp_path / "position", "t")
    assert reader.told() == "ready"
    with bus.demand("t") as demand, bus.subscribe("[^t]*") as said:
        joined = demand.get(0)
        assert joined is not None
        assert joined.name.endswith(f":{reader.pid}")
        reader.kill()
        assert demand.get(1) == Left("t", joined.name, 0)
        assert said.get(0) is None


def test_N12_a_change_is_reported_within_a_second(bus, another_bus, monkeypatch):
    monkeypatch.undo()  # the default interval
    with bus.demand("t") as demand:
        assert demand.listeners() == []
        with another_bus.subscribe("t"):
            began = time.monotonic()
            assert demand.get(5) == Joined("t", "another", 1)
            assert time.monotonic() - began < 1
        assert demand.get(1) == Left("t", "another", 0)


def test_N12_a_report_can_be_sent_to_one_subscriber(bus, another_bus, collect):
    with bus.demand("t") as demand, bus.subscribe("t", "direct.test") as first, another_bus.subscribe("t", "direct.another") as second:
        joined = demand.get(5)
        assert isinstance(joined, Joined)
        bus.publish(f"direct.{joined.name}", "for one")
        bus.publish("t", "for all")
        assert [event.contents for event in collect(second, 2)] == ["for one", "for all"]
        assert [event.contents for event in collect(first, 1)] == ["for all"]


@pytest.mark.parametrize("pattern", ["*", "temp*", "t[a-e]mperature", "????????ur?"])
def test_a_subscriber_by_pattern_counts(bus, another_bus, pattern):
    """The count of the server (PUBSUB NUMSUB) leaves it out."""
    with another_bus.subscribe(pattern), bus.demand("temperature") as demand:
        assert bus.redis.pubsub_numsub(bus.keys.channel("temperature")) == [(b"notify:event:temperature", 0)]
        assert demand.get(0) == Joined("temperature", "another", 1)


@pytest.mark.parametrize("pattern", ["humid*", "[^t]*", "temperatur"])
def test_a_subscriber_of_another_topic_does_not_count(bus, another_bus, pattern):
    with another_bus.subscribe(pattern), bus.demand("temperature") as demand:
        assert demand.listeners() == []


def test_callbacks_of_a_manager_count_under_the_names_of_their_clients(bus, another_bus):
    with bus.demand("t") as demand, another_bus.listen("t", callback=print), another_bus.manager() as manager:
        manager.subscribe("client", print, "t")
        wait_until(lambda: demand.listeners() == ["another", "client"])


def test_a_subscriber_of_another_program_counts_without_a_name(server, bus, another_bus):
    with redis.Redis.from_url(server.url) as client, another_bus.subscribe("t"), bus.demand("t") as demand:
        pubsub: Any = client.pubsub()
        pubsub.subscribe(bus.keys.channel("t"))
        pubsub.get_message(timeout=5)
        assert demand.listeners() == ["", "another"]
        pubsub.close()
        wait_until(lambda: demand.listeners() == ["another"])


def test_a_subscriber_of_another_namespace_does_not_count(server, bus):
    settings = notify.Settings(url=server.url, namespace="yard")
    with notify.connect(settings=settings) as yard, yard.subscribe("t", "*"), bus.demand("t") as demand:
        assert demand.listeners() == []


def test_a_subscriber_that_reconnects_between_two_readings_has_not_left(bus, another_bus):
    with another_bus.subscribe("t") as events, bus.demand("t") as demand:
        assert demand.get(0) == Joined("t", "another", 1)
        assert cut(bus.redis, "another") == 1
        bus.publish("t", 1)
        assert isinstance(events.get(5), notify.Event)
        wait_until(lambda: demand.listeners() == ["another"])
        changes = [demand.get(0), demand.get(0)]
        assert changes in ([None, None], [Left("t", "another", 0), Joined("t", "another", 1)])


class Reading(notify.Message, topic="t"):
    celsius: float


def test_a_demand_takes_a_message_class_and_no_pattern(bus):
    with bus.demand(Reading) as demand, bus.subscribe(Reading):
        assert demand.get(5) == Joined("t", "test", 1)
    for wrong in ("t*", "", 5):
        with pytest.raises(InvalidTopicError):
            bus.demand(wrong)


def test_closing_a_demand_ends_its_waits_and_further_use_raises(bus):
    demand = bus.demand("t")
    closing = threading.Timer(0.05, demand.close)
    closing.start()
    assert list(demand) == []
    closing.join()
    for call in (demand.get, demand.wait, demand.listeners):
        with pytest.raises(ClosedError, match="<Demand for 't'> is closed"):
            call()


def test_an_outage_is_raised_and_the_next_call_reads_again(own_server, connect_to):
    bus, another = connect_to(own_server), connect_to(own_server, name="another")
    with another.subscribe("t") as events, bus.demand("t") as demand:
        assert demand.get(0) == Joined("t", "another", 1)
        own_server.kill()
        with pytest.raises(ServerUnreachableError, match="while listing the subscribers of 't'"):
            wait_until(lambda: demand.get(0))
        own_server.restart()
        wait_until(lambda: events.get(0.1) or demand.listeners() == ["another"])
