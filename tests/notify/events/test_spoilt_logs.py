"""Keys of topics that another program has spoilt: a subscriber counts what it cannot read, and goes on with the rest."""

import pytest

import notify
from notify.events.scripts import EventScripts

FALSE_IDS = ["nan", "[" * 100_000, "9" * 30 + "-0", "-1-0", ""]


@pytest.mark.parametrize("spoilt", ["log", "topic", "retained"])
def test_a_key_of_another_type_is_skipped_and_other_topics_are_read(bus: notify.Bus, caplog: pytest.LogCaptureFixture, spoilt: str) -> None:
    bus.publish("a", 1, retain_s=60)
    bus.publish("b", 2)
    key = getattr(bus.keys, spoilt)("a")
    bus.redis.delete(key)
    bus.redis.zadd(key, {"x": 1})
    bus.redis.expire(key, 60)
    with bus.subscribe("*", since="start") as events:
        found = [item for _ in range(4) if isinstance(item := events.get(0), notify.Event)]
        skipped = events.skipped
    assert 2 in [event.contents for event in found]
    assert skipped == (1 if spoilt == "log" else 0)
    assert caplog.text.count("skips a log that cannot be read") == skipped


def test_a_log_is_read_again_when_its_key_is_repaired(bus: notify.Bus) -> None:
    bus.publish("a", 1)
    bus.redis.delete(bus.keys.log("a"))
    bus.redis.sadd(bus.keys.log("a"), "x")
    with bus.subscribe("a", since="start") as events:
        assert events.get(0) is None
        bus.redis.delete(bus.keys.log("a"))
        bus.publish("a", 2)
        found = [events.get(1), events.get(1)]
    assert [item.contents for item in found if isinstance(item, notify.Event)] == [2]


@pytest.mark.parametrize("false_id", FALSE_IDS)
def test_a_head_whose_last_is_no_id_keeps_nobody_from_reading(bus: notify.Bus, false_id: str) -> None:
    bus.publish("a", 1)
    bus.redis.hset(bus.keys.topic("a"), "last", false_id)
    with bus.subscribe("a", since="start") as events:
        item = events.get(0)
        assert isinstance(item, notify.Event)
        assert item.contents == 1
        assert events.get(0) is None
    assert EventScripts(bus.redis).heads(["a"])[0][1] is None


@pytest.mark.parametrize("false_id", FALSE_IDS)
def test_an_event_stamped_with_a_false_id_moves_no_position(bus: notify.Bus, false_id: str) -> None:
    last = bus.publish("a", 1)
    bare, _, epoch = last.partition("@")
    with bus.subscribe("a") as events:
        forged = f'{{"id":"{false_id}@{epoch}","prev":"{bare}","topic":"a","time":"2026-01-01T00:00:00Z","contents":"forged"}}'
        bus.redis.publish(bus.keys.channel("a"), forged)
        bus.publish("a", 2)
        assert [getattr(events.get(1), "contents", None) for _ in range(2)] == ["forged", 2]
