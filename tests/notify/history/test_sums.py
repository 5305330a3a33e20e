"""Minutes are summed up to hours when a new hour begins; names are bounded; clocks jump."""

import pytest

import notify
from notify.history import HistoryReader, histories_of_topics, read_history, topic_history
from notify.history.prelude import MOST_FIELDS


def hour_of(bus: notify.Bus) -> int:
    return int(bus.redis.time()[0]) // 3600


def counted(bus: notify.Bus, hour: int, **counts: int) -> None:
    """Make it look as if events had been counted in the last minute of an hour, which is the open one."""
    key = bus.keys.history("m", hour * 60 + 59)
    for topic, number in counts.items():
        bus.redis.hincrby(key, f"topic events {topic}", number)
    bus.redis.expire(key, 72 * 3600)
    bus.redis.set(bus.keys.history_open, hour, ex=3600)


def hours(bus: notify.Bus, topic: str) -> list[int]:
    return [point.events for point in topic_history(read_history(bus.redis, since_s=10 * 3600, step="hour"), topic=topic) if point.events]


@pytest.mark.parametrize("ago_h", [1, 3, 20])
def test_the_first_count_of_an_hour_sums_up_the_open_one(bus: notify.Bus, ago_h: int) -> None:
    """The minutes get their lifetime only then; those whose time is over are gone, and their sum stays."""
    hour = hour_of(bus) - ago_h
    bus.redis.hincrby(bus.keys.history("m", hour * 60), "topic events a", 5)
    counted(bus, hour, a=2, b=1)
    bus.publish("c", 1)
    assert bus.redis.hgetall(bus.keys.history("h", hour)) == {b"topic events a": b"7", b"topic events b": b"1"}
    assert 71 * 3600 < bus.redis.ttl(bus.keys.history("h", hour)) <= 72 * 3600
    left_s = bus.redis.ttl(bus.keys.history("m", hour * 60 + 59))
    assert left_s == -2 if ago_h > 8 else 3600 * (8 - ago_h) < left_s <= 3600 * (9 - ago_h)
    assert bus.redis.get(bus.keys.history_open) == b"%d" % hour_of(bus)


def test_an_hour_is_read_before_and_after_it_is_summed_up(bus: notify.Bus) -> None:
    hour = hour_of(bus) - 2
    counted(bus, hour, a=3)
    assert hours(bus, "a") == [3]
    bus.publish("a", 1)
    assert hours(bus, "a") in ([3, 1], [4])
    bus.redis.delete(bus.keys.history("m", hour * 60 + 59))
    assert hours(bus, "a")[0] == 3


def begin_this_hour_anew(bus: notify.Bus, hour: int) -> None:
    """Publish the first event of the present hour, as if none had been counted after ``hour``."""
    for key in bus.redis.keys(bus.keys.history("m", "*")):
        if int(key.rpartition(b":")[2]) // 60 != hour:
            bus.redis.delete(key)
    bus.publish("x", 1)


def test_an_hour_that_the_clock_comes_back_to_is_summed_up_once_more(bus: notify.Bus) -> None:
    hour = hour_of(bus) - 1
    counted(bus, hour, a=3)
    bus.publish("x", 1)
    counted(bus, hour, a=4)  # the clock was put back and has come again
    begin_this_hour_anew(bus, hour)
    assert bus.redis.hget(bus.keys.history("h", hour), "topic events a") == b"7"


def test_a_sum_stays_when_minutes_of_its_hour_are_gone(bus: notify.Bus) -> None:
    hour = hour_of(bus) - 1
    counted(bus, hour, a=3)
    bus.publish("x", 1)
    bus.redis.delete(bus.keys.history("m", hour * 60 + 59))
    counted(bus, hour, a=1, b=1)
    begin_this_hour_anew(bus, hour)
    assert bus.redis.hgetall(bus.keys.history("h", hour)) == {b"topic events a": b"3", b"topic events b": b"1"}


def test_a_reader_that_kept_minutes_reads_them_anew_when_the_clock_is_put_back(bus: notify.Bus) -> None:
    reader, now = HistoryReader(bus.redis), int(bus.redis.time()[0]) // 60
    key = bus.keys.history("m", now - 5)
    bus.redis.hincrby(key, "topic events a", 1)
    bus.redis.expire(key, 60)
    assert sum(point.events for point in topic_history(reader.read(since_s=900))) == 1
    bus.redis.hincrby(key, "topic events a", 1)
    assert sum(point.events for point in topic_history(reader.read(since_s=900))) == 1  # a minute that is over is kept
    reader._until += 10
    assert sum(point.events for point in topic_history(reader.read(since_s=900))) == 2


def test_a_range_is_read_in_two_round_trips(bus: notify.Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    pipeline = bus.redis.pipeline
    monkeypatch.setattr(bus.redis, "pipeline", lambda **options: sent.append(1) or pipeline(**options))
    read_history(bus.redis, since_s=8 * 3600)
    assert len(sent) == 2


def test_names_are_bounded_and_sums_stay_right(bus: notify.Bus) -> None:
    now = bus.redis.time()[0] // 60
    for minute in (now, now + 1):
        key = bus.keys.history("m", minute)
        bus.redis.hset(key, mapping={f"topic events t{number}": 1 for number in range(MOST_FIELDS)})
        bus.redis.expire(key, 60)
    for number in range(50):
        bus.publish(f"new-{number}", 1)
    bus.publish("t5", 1)
    found = histories_of_topics(read_history(bus.redis, since_s=1))
    assert sum(point.events for point in found["(other)"]) == 50
    assert max(point.events for point in found["t5"]) == 2
    assert max(bus.redis.hlen(bus.keys.history("m", minute)) for minute in (now, now + 1)) == MOST_FIELDS + 1


def test_an_hour_is_bounded_as_well(bus: notify.Bus) -> None:
    hour = hour_of(bus) - 1
    for minute in range(3):
        key = bus.keys.history("m", hour * 60 + minute)
        bus.redis.hset(key, mapping={f"request answered s{number} m{minute} took<=1": 2 for number in range(600)})
        bus.redis.expire(key, 3600)
    counted(bus, hour)
    bus.publish("t", 1)
    sums = bus.redis.hgetall(bus.keys.history("h", hour))
    assert len(sums) == MOST_FIELDS + 1
    assert sum(map(int, sums.values())) == 3 * 600 * 2
    assert sums[b"request answered (other) (other) took<=1"] == b"1600"
