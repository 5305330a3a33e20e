"""The figures about topics that operators see."""

from datetime import UTC, datetime, timedelta

import msgspec

import notify
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
    assert (topic.events, topic.log_length, topic.per_s) == (None, 0, 0.02)
    assert topic.last is not None


def test_S16_reading_takes_two_commands_per_topic_and_eight_in_all(bus):
    for number in range(50):
        bus.publish(f"t{number}", number)
    assert len(commands_during(bus.redis, bus.traffic)) == 2 * 50 + 7


def test_S16_a_subscriber_that_left_is_not_counted(bus, another_bus):
    bus.publish("t", 1)
    another_bus.subscribe("t").close()
    wait_until(lambda: bus.traffic()[0].subscribers == 0)


def test_subscribers_by_pattern_are_counted_and_none_is_counted_twice(bus, another_bus):
    bus.publish("lab.door", 1)
    bus.publish("other", 1)
    with bus.subscribe("lab.*"), another_bus.subscribe("lab.door", "lab.*"), bus.subscribe("other"):
        assert {info.topic: info.subscribers for info in bus.traffic()} == {"lab.door": 2, "other": 1}


def counted_before(bus, field, number):
    """Count something in the minute before the present one; waits for the middle of a minute that has just begun or is nearly over."""
    wait_until(lambda: 1 <= bus.redis.time()[0] % 60 <= 57, timeout_s=10)
    seconds, _ = bus.redis.time()
    minute = bus.keys.history("m", seconds // 60 - 1)
    bus.redis.hincrby(minute, field, number)
    bus.redis.expire(minute, 60)
    return 1 - seconds % 60 / 60


def test_the_rate_of_a_topic_is_that_of_the_history(bus):
    """Of the minute before, the share counts that lies within them. The log is not read: it is gone."""
    share = counted_before(bus, "topic events weather%20report", 6_000)
    for number in range(60):
        bus.publish("weather report", number)
    bus.redis.delete(bus.keys.log("weather report"))
    (topic,) = bus.traffic()
    assert abs(topic.per_s - (1 + 100 * share)) < 8  # a few seconds may have passed


def test_the_rates_of_own_topics_are_those_of_jobs_and_services(bus):
    """A field that another program wrote is left out, and so are the transitions of jobs that are not published."""
    share = counted_before(bus, "job enqueued work f", 6_000)
    minute = bus.keys.history("m", bus.redis.time()[0] // 60 - 1)
    for field in ("job finished+started work f work<=1 wait<=1", "job work_us work f", "service withdrawn storage killed", "job", "x y"):
        bus.redis.hincrby(minute, field, 6_000)
    for topic in ("job.work", "services"):
        bus.publish(topic, "known from now on")
    jobs, services = (topic.per_s for topic in bus.traffic())
    assert abs(jobs - 300 * share) < 24
    assert abs(services - 100 * share) < 8
    with notify.connect(settings=msgspec.structs.replace(bus.settings, job_events="finished")) as few:
        assert abs(few.traffic()[0].per_s - 100 * share) < 8


def test_a_busy_topic_costs_no_more_to_describe_than_a_quiet_one(bus):
    bus.publish("busy", 0)
    few = commands_during(bus.redis, bus.traffic)
    for number in range(500):
        bus.publish("busy", number)
    assert len(commands_during(bus.redis, bus.traffic)) == len(few)
    assert not any("XRANGE" in command or "XREVRANGE" in command or "EVAL" in command for command in few)
