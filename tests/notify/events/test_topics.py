"""The figures about topics that operators see."""

from datetime import UTC, datetime, timedelta

from notify.testing import wait_until
from tests.support.faults import commands_during


def test_S16_every_known_topic_is_described_in_alphabetical_order(bus, another_bus):
    assert bus.traffic() == []
    bus.register_publisher("silent")
    for number in range(6):
        bus.publish("lab.door", number)
    with another_bus.subscribe("lab.door"), another_bus.subscribe("lab.*"), another_bus.subscribe("lab.door", "silent"):
        door, silent = bus.traffic()
    version = tuple(map(int, bus.redis.info("server")["redis_version"].split(".")))
    assert (door.topic, door.per_s, door.log_length, door.subscribers) == ("lab.door", 0.1, 6, 3)
    assert door.events == (6 if version >= (7,) else None)
    assert abs(door.last - datetime.now(UTC)) < timedelta(seconds=10)
    assert (silent.topic, silent.per_s, silent.log_length, silent.subscribers, silent.last) == ("silent", 0, 0, 1, None)


def test_S16_events_counts_all_events_and_log_length_those_in_the_log(bus):
    for number in range(5):
        bus.publish("t", number)
    bus.redis.xtrim(bus.keys.log("t"), maxlen=2, approximate=False)
    (topic,) = bus.traffic()
    assert topic.log_length == 2
    assert topic.events in (5, None)


def test_S16_a_topic_whose_log_expired_is_described_as_well(bus):
    bus.publish("t", 1)
    bus.redis.delete(bus.keys.log("t"))
    (topic,) = bus.traffic()
    assert (topic.events, topic.log_length, topic.per_s) == (None, 0, 0)
    assert topic.last is not None


def test_S16_reading_takes_three_commands_per_topic_and_three_in_all(bus):
    for number in range(50):
        bus.publish(f"t{number}", number)
    bus.traffic()  # the server knows the script from now on
    assert len(commands_during(bus.redis, bus.traffic)) == 3 * 50 + 3


def test_S16_a_subscriber_that_left_is_not_counted(bus, another_bus):
    bus.publish("t", 1)
    another_bus.subscribe("t").close()
    wait_until(lambda: bus.traffic()[0].subscribers == 0)


def test_subscribers_by_pattern_are_counted_and_none_is_counted_twice(bus, another_bus):
    bus.publish("lab.door", 1)
    bus.publish("other", 1)
    with bus.subscribe("lab.*"), another_bus.subscribe("lab.door", "lab.*"), bus.subscribe("other"):
        assert {info.topic: info.subscribers for info in bus.traffic()} == {"lab.door": 2, "other": 1}


def logged(bus, topic, count, began_ms):
    """Fill a log with an event for each millisecond."""
    bus.publish(topic, 0)
    with bus.redis.pipeline(transaction=False) as pipe:
        pipe.delete(bus.keys.log(topic))
        for number in range(count):
            pipe.xadd(bus.keys.log(topic), {"data": "x"}, id=f"{began_ms + number}-1")
        pipe.expire(bus.keys.log(topic), 60)
        pipe.execute()


def test_the_rate_of_a_busy_topic_is_that_of_its_last_events(bus):
    """Of 20,000 in 20 s the last 10,000 are counted, or the last 300 quickly; all of a quiet topic are counted."""
    seconds, _ = bus.redis.time()
    logged(bus, "busy", 20_000, (seconds - 20) * 1000)
    logged(bus, "quiet", 120, (seconds - 30) * 1000)
    for quick in (False, True):
        found = {info.topic: info.per_s for info in bus.traffic(quick=quick)}
        assert found["quiet"] == 2.0
        assert 50 < found["busy"] <= 1_000


def test_a_quick_look_reads_little_of_busy_logs(bus):
    """Twin: the usual look reads 10,000 events of each."""

    def reads():
        return bus.redis.info("commandstats").get("cmdstat_xrevrange", {"calls": 0})["calls"]

    def read(*, quick):
        before = reads()
        bus.traffic(quick=quick)
        return reads() - before

    seconds, _ = bus.redis.time()
    for topic in ("a", "b"):
        logged(bus, topic, 5_000, (seconds - 6) * 1000)
    assert read(quick=True) <= 2 * 31
    assert read(quick=False) > 2 * 450
