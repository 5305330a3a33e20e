"""What happens is counted by the minute, in Redis, and read as points in time."""

from typing import get_args

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

import notify
from notify.history import (
    EDGES_S,
    Counter,
    Histogram,
    Step,
    edge_of,
    field_of,
    histories_of_methods,
    histories_of_services,
    histories_of_topics,
    read_history,
    request_history,
    topic_history,
    word,
)
from notify.history.fields import words_of
from notify.testing import PrivateServer
from tests.support.faults import publish_unheard
from tests.support.processes import Calculator

NAMES = st.text(min_size=0, max_size=60)


def fields(bus: notify.Bus) -> dict[str, int]:
    """All that is counted in minutes."""
    found: dict[str, int] = {}
    for key in bus.redis.keys(bus.keys.history("m", "*")):
        for field, number in bus.redis.hgetall(key).items():
            found[field.decode()] = found.get(field.decode(), 0) + int(number)
    return found


def test_events_are_counted_by_topic(bus: notify.Bus) -> None:
    for number in range(3):
        bus.publish("weather report", number)
    bus.publish("other", 1)
    with bus.background_publisher() as publisher:
        for number in range(7):
            publisher.put("other", number)
    assert fields(bus) == {"topic events weather%20report": 3, "topic events other": 8}
    history = read_history(bus.redis, since_s=300)
    assert len(history.moments) == 6
    assert sum(point.events for point in topic_history(history)) == 11
    found = {topic: sum(point.events for point in points) for topic, points in histories_of_topics(history).items()}
    assert found == {"other": 8, "weather report": 3}


def test_an_event_with_a_key_counts_once(bus: notify.Bus) -> None:
    bus.publish("t", 1, key="once")
    bus.publish("t", 1, key="once")
    assert fields(bus) == {"topic events t": 1}


def test_services_are_counted_with_the_reason_of_their_end(bus: notify.Bus) -> None:
    with bus.service("svc", ttl_s=60):
        pass
    bus.service("svc", ttl_s=60).open()
    bus.directory.kill("svc", why="test")
    last = histories_of_services(read_history(bus.redis, since_s=60))["svc"]
    assert sum(point.registered for point in last) == 2
    assert {reason for point in last for reason in point.withdrawn} == {"withdrawn", "killed"}


def test_requests_are_counted_with_their_duration(bus: notify.Bus, another_bus: notify.Bus) -> None:
    with bus.service("calc", ttl_s=60, exports=Calculator()):
        assert another_bus.call("calc", "multiply", 6, 7) == 42
        with pytest.raises(notify.RequestFailedError):
            another_bus.call("calc", "multiply", 6, 7, 8)
        with pytest.raises(notify.UnknownMethodError):
            another_bus.call("calc", "no such method")
    history = read_history(bus.redis, since_s=60)
    assert [pair for pair in histories_of_methods(history) if pair[0] == "calc"] == [("calc", "multiply")]
    total = [sum(numbers) for numbers in zip(*((p.answered, p.failed, p.took.count) for p in request_history(history)), strict=True)]
    assert total == [1, 1, 2]
    assert all(point.took.sum_s < 5 for point in request_history(history))


def test_every_minute_has_a_lifetime_and_its_own_key(bus: notify.Bus) -> None:
    bus.publish("t", 1)
    (key,) = bus.redis.keys(bus.keys.history("m", "*"))
    assert int(key.rpartition(b":")[2]) == bus.redis.time()[0] // 60
    assert 71 * 3600 < bus.redis.ttl(key) <= 72 * 3600  # until its hour is summed up


@given(NAMES)
def test_a_name_is_one_word_and_comes_back_as_it_was(name: str) -> None:
    assert words_of(field_of("topic events", name).encode())[:2] == ("topic", "events")
    assert len(field_of("topic events", name).split(" ")) == 3
    assert words_of(word(name).encode()) == (name.encode(errors="replace")[:200].decode(errors="replace"),)


@given(st.floats(min_value=0, max_value=1e6))
def test_a_bucket_holds_what_is_not_above_its_edge(seconds: float) -> None:
    edge = float(edge_of(seconds))
    below = [each for each in EDGES_S if each < edge]
    assert seconds <= edge
    assert not below or seconds > below[-1]


@given(st.lists(st.floats(min_value=0, max_value=1e4), min_size=1, max_size=50), st.floats(min_value=0, max_value=100))
def test_a_percentile_lies_in_the_bucket_of_the_exact_one(values: list[float], percent: float) -> None:
    histogram = Histogram.of([(edge_of(value), 1) for value in values], sum(values))
    exact = sorted(values)[max(0, min(len(values) - 1, -int(-percent * len(values) // 100) - 1))]
    found = histogram.percentile_s(percent)
    assert found is not None
    high = float(edge_of(exact))
    low = max((each for each in EDGES_S if each < high), default=0.0)
    assert low <= found <= min(high, EDGES_S[-2]) + 1e-9
    assert histogram.cumulative[-1] == histogram.count == len(values)


def test_an_empty_histogram_has_neither_mean_nor_percentile() -> None:
    assert (Histogram().mean_s, Histogram().percentile_s(50), Histogram().count) == (None, None, 0)


def test_a_range_that_is_none_is_refused(bus: notify.Bus) -> None:
    for since_s in (0, -1, float("nan"), 1e12):
        with pytest.raises(notify.SettingsError):
            read_history(bus.redis, since_s=since_s)


def test_nothing_is_counted_when_it_is_off(bus: notify.Bus, server, connect_to) -> None:
    off = connect_to(server, history="off")
    off.publish("t", 1)
    with off.service("svc", ttl_s=60):
        pass
    assert fields(bus) == {}
    assert bus.redis.exists(bus.keys.history_open) == 0


def test_a_spoilt_key_loses_counts_and_nothing_else(bus: notify.Bus) -> None:
    now = bus.redis.time()[0] // 60
    for minute in (now, now + 1):
        bus.redis.set(bus.keys.history("m", minute), "spoilt", ex=60)
    bus.redis.lpush(bus.keys.history_open, "spoilt")
    bus.redis.expire(bus.keys.history_open, 60)
    bus.publish("t", 1)
    with pytest.raises(redis.ResponseError):
        bus.redis.hgetall(bus.keys.history("m", now))
    assert [point.events for point in topic_history(read_history(bus.redis, since_s=60))] in ([0, 0], [0, 0, 1])
    assert len(read_history(bus.redis, since_s=60, step="hour").moments) in (1, 2)


def test_a_user_who_may_not_ask_for_the_time_is_told_so(own_server: PrivateServer) -> None:
    with notify.connect(own_server.url) as bus:
        bus.redis.execute_command("ACL", "SETUSER", "lab", "on", ">hush", "~*", "&*", "+@all", "-time")
    with notify.connect(own_server.url.replace("unix://", "unix://lab:hush@")) as bus:
        for step in get_args(Step):
            with pytest.raises(notify.ServerRefusedError, match="reading the history"):
                read_history(bus.redis, step=step)


def test_a_count_that_comes_after_the_end_of_the_connection_is_lost_without_an_error(server: PrivateServer) -> None:
    bus = notify.connect(server.url)
    counter = Counter(bus.redis)
    bus.close()
    counter.count("topic gaps t")


def test_a_gap_is_counted_for_its_topic(bus: notify.Bus) -> None:
    with bus.subscribe("t") as events:
        bus.publish("t", "seen")
        assert events.get(5)
        for number in range(5):
            publish_unheard(bus, "t", number)
        bus.redis.xtrim(bus.keys.log("t"), maxlen=1, approximate=False)
        bus.publish("t", "live")
        assert isinstance(events.get(5), notify.Gap)
    assert fields(bus)["topic gaps t"] == 1


def test_gaps_are_sent_at_most_once_a_second_and_the_last_at_the_end(bus: notify.Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Counter(bus.redis)
    sent: list[object] = []
    run = counter.run
    monkeypatch.setattr(counter, "run", lambda *args, **options: sent.append(args) or run(*args, **options))
    for _ in range(500):
        counter.count("topic gaps t")
    assert len(sent) == 1
    counter.send()
    counter.send()
    assert len(sent) == 2
    assert fields(bus)["topic gaps t"] == 500
