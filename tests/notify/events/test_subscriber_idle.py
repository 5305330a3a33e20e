"""Idle subscribers: they cost the server little, and still notice an event that pub/sub has lost."""

import pytest

from notify.events import pubsub, subscriber
from notify.events.scripts import TOUCHED_MS
from notify.testing import wait_until
from tests.support.faults import commands_during

TOPICS = 1_000


@pytest.fixture
def topics(bus) -> list[str]:
    """Topics whose last events are older than a minute, as far as the list of known topics tells."""
    names = [f"t{number}" for number in range(TOPICS)]
    with bus.background_publisher() as publisher:
        for name in names:
            publisher.put(name, name)
    _age(bus, names)
    return names


def _age(bus, names) -> None:
    key = bus.keys.topics
    scores = dict(bus.redis.zrange(key, 0, -1, withscores=True))
    bus.redis.zadd(key, {name: scores[name.encode()] - 2 * TOUCHED_MS for name in names})


@pytest.mark.usefixtures("_impatient")
def test_an_idle_subscriber_costs_the_server_a_few_commands(bus):
    """During a second: a ping per silence, and a comparison with the log now and then."""
    with bus.subscribe("t") as events:
        commands = commands_during(bus.redis, lambda: events.get(1.0))
    questions = 1.0 / pubsub.PROBE_AFTER_S
    looks = 1.0 / subscriber.REPAIR_AFTER_S
    assert 0 < len(commands) <= questions + looks + 1


@pytest.mark.usefixtures("_impatient")
def test_an_idle_pattern_over_many_topics_asks_for_a_few_of_them_at_a_time(bus, topics):
    with bus.subscribe("*") as events:
        assert events.get(0) is None
        looks = 0

        def look() -> None:
            nonlocal looks
            before = events._repaired_at
            wait_until(lambda: events.get(0.02) is not None or events._repaired_at > before, what="a comparison with the logs")
            looks += 1

        commands = commands_during(bus.redis, look)
    heads = [command for command in commands if command.startswith("HMGET")]
    assert 0 < len(heads) <= subscriber.AT_ONCE * 2 < len(topics)
    swept = [command for command in commands if bus.keys.due in command]  # who hears of services sweeps, about once a second
    assert not [command for command in commands if command.startswith("EVAL") and command not in swept]


@pytest.mark.usefixtures("_impatient")
def test_in_turn_all_topics_are_compared(bus, topics):
    with bus.subscribe("*") as events:
        compared: set[str] = set()
        inner = events._positions.topics_to_repair
        events._positions.topics_to_repair = lambda names: (compared.update(names), inner(names))[1]
        wait_until(lambda: events.get(0.02) is not None or compared >= set(topics), what="the turn of every topic")


@pytest.mark.usefixtures("_impatient", "topics")
@pytest.mark.parametrize("topic", ["t7", "new"])
def test_a_lost_last_event_of_a_pattern_is_read_from_the_log_at_the_next_look(bus, monkeypatch, topic):
    """As if pub/sub had lost the message: the connection of the subscriber is not read while the event is published."""
    with bus.subscribe("*") as events:
        assert events.get(0) is None
        monkeypatch.setattr(events, "_accept", lambda message: None)
        bus.publish(topic, "lost")
        assert events.get(5).contents == "lost"


def test_with_more_busy_topics_than_one_look_compares_these_take_turns(bus):
    with bus.subscribe("*") as events:
        busy = [f"b{number}" for number in range(5)]
        seen = [topic for _ in range(4) for topic in events._positions.in_turn(busy, 2)]
    assert set(seen) == set(busy)
