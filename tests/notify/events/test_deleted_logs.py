"""A log that was deleted by hand or evicted begins anew. Its ids follow those of the topic, whatever the clock of the server says."""

import hashlib
from typing import Any

import pytest

import notify
from notify import Event, Gap
from notify.events.positions import Positions
from notify.events.scripts import EventScripts
from notify.server import scripts

AHEAD_MS = 600_000
"""How far the last event lies ahead of the clock: as after the clock was put back, or within one millisecond."""


def number_of(event_id: str) -> tuple[int, int]:
    ms, _, counter = event_id.partition("@")[0].partition("-")
    return int(ms), int(counter)


def publish_ahead(bus: notify.Bus, topic: str = "t") -> str:
    """Publish an event whose id is ahead of the server's clock, and return the id."""
    epoch = bus.publish(topic, "before").partition("@")[2]
    (last, fields) = bus.redis.xrevrange(bus.keys.log(topic), count=1)[0]  # type: ignore[misc, index]  # of a synchronous client
    ahead = f"{number_of(last.decode())[0] + AHEAD_MS}-3"
    entry: Any = {**fields, b"prev": last}
    bus.redis.xadd(bus.keys.log(topic), entry, id=ahead)
    bus.redis.hset(bus.keys.topic(topic), "last", ahead)
    return f"{ahead}@{epoch}"


def without_the_check(monkeypatch: pytest.MonkeyPatch, bus: notify.Bus) -> None:
    """The twin: a log begins with whatever id the clock gives it."""
    source = EventScripts(bus.redis).source("publish")
    naive = source.replace("if ms > last_ms or", "if true or")
    assert naive != source
    loaded, twin = scripts.load_script, (naive, hashlib.sha1(naive.encode()).hexdigest())  # noqa: S324
    monkeypatch.setattr(scripts, "load_script", lambda *which: twin if "publish" in which else loaded(*which))


def publish_many(bus: notify.Bus) -> str:
    with bus.background_publisher() as publisher:
        publisher.put("t", "after")
    ((last, _),) = bus.redis.xrevrange(bus.keys.log("t"), count=1)  # type: ignore[misc]  # as above
    return str(last.decode())


@pytest.mark.parametrize("publish", [lambda bus: bus.publish("t", "after"), publish_many], ids=["one", "many"])
def test_the_ids_of_a_topic_grow_although_its_log_was_deleted(bus: notify.Bus, publish: Any) -> None:
    last = publish_ahead(bus)
    bus.redis.delete(bus.keys.log("t"))
    first = publish(bus)
    assert number_of(first) == (number_of(last)[0], 4)
    assert number_of(bus.publish("t", "the next")) == (number_of(last)[0], 5)
    assert bus.redis.ttl(bus.keys.log("t")) > 0


def read_on(bus: notify.Bus) -> list[object]:
    """What a subscriber gets that has read a topic to its end, after its log was deleted and one event was published."""
    publish_ahead(bus)
    positions = Positions(EventScripts(bus.redis))
    positions.start(["t"])
    bus.redis.delete(bus.keys.log("t"))
    bus.publish("t", "after")
    found: list[Event | Gap] = list(positions.repair("t"))
    return [item.contents if isinstance(item, Event) else item.reason for item in found]


def test_who_has_read_a_topic_to_its_end_gets_the_first_event_of_the_new_log(bus: notify.Bus) -> None:
    assert read_on(bus) == ["after"]


def test_the_twin_whose_log_begins_by_the_clock_alone_loses_that_event(bus: notify.Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    without_the_check(monkeypatch, bus)
    assert "after" not in read_on(bus)


@pytest.mark.parametrize("spoilt", ["nonsense", "99999999999999999999-0", "1-99999999999999999999", ""])
def test_a_spoilt_last_id_keeps_nobody_from_publishing(bus: notify.Bus, spoilt: str) -> None:
    bus.publish("t", "before")
    bus.redis.hset(bus.keys.topic("t"), "last", spoilt)
    bus.redis.delete(bus.keys.log("t"))
    assert number_of(bus.publish("t", "after")) > (1_600_000_000_000, 0)
