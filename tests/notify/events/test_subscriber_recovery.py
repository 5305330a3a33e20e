"""Receiving during faults: no event is lost or delivered twice, and events that are gone for good become a gap.

Each recovery has a time limit. test_subscriber_recovery_twins shows the same faults with plain pub/sub.
"""

import logging
import threading
import time
from collections.abc import Callable

import pytest

import notify
from notify import Gap
from notify.events import positions, pubsub, subscriber
from notify.events.scripts import EventScripts
from notify.testing import wait_until
from tests.support.faults import Publishing, commands_during, cut, publish_and_cut, publish_unheard, trim

EVENTS, CUTS = 3000, 40


def _in_thread(target: Callable[..., None], *args: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=args)
    thread.start()
    return thread


def test_N6_a_subscriber_cut_off_40_times_gets_all_of_3000_events_once_and_in_order(bus, another_bus, collect):
    """Experiment 1: the connection is cut 40 times while events are published."""
    with another_bus.subscribe("t") as events:
        publishing = _in_thread(lambda: publish_and_cut(bus, "another", events=EVENTS, cuts=CUTS))
        received = collect(events, EVENTS, timeout_s=10)
        publishing.join()
    assert [event.contents for event in received] == list(range(EVENTS))


def test_a_silent_reconnect_of_redis_py_is_repaired_at_once(bus, collect):
    with bus.subscribe("t", "u*") as events:
        events._pubsub._connection.disconnect()
        bus.publish("t", 1)
        bus.publish("u1", 2)
        assert [event.contents for event in collect(events, 2, timeout_s=2)] == [1, 2]


def test_a_failed_repair_is_repeated_at_once(bus, collect, monkeypatch):
    """The message that revealed the missing events is consumed by then, and there may never be another one."""
    catch_up = EventScripts.read_log

    def fail_once(*_: object, **__: object) -> object:
        monkeypatch.setattr(EventScripts, "read_log", catch_up)
        raise notify.ServerUnreachableError("no answer")

    with bus.subscribe("t") as events:
        publish_unheard(bus, "t", "lost")
        monkeypatch.setattr(EventScripts, "read_log", fail_once)
        bus.publish("t", "heard")
        assert [event.contents for event in collect(events, 2, timeout_s=2)] == ["lost", "heard"]


def test_a_subscriber_too_slow_for_the_server_s_buffer_gets_every_event(own_server, connect_to, collect):
    """Experiment 5: the server closes the connection of a slow reader, which then reads from the log."""
    bus = connect_to(own_server)
    bus.redis.config_set("client-output-buffer-limit", "pubsub 200kb 0 0")
    with bus.subscribe("t") as events:
        for number in range(3000):
            bus.publish("t", [number, "x" * 1000])
        assert not bus.redis.client_list(_type="pubsub")  # the server has closed the connection
        assert [event.contents[0] for event in collect(events, 3000)] == list(range(3000))


def test_a_long_log_is_read_page_by_page_on_demand(bus, collect):
    """Experiment 5: waiting events stay in the log, not in the memory of a slow subscriber."""
    with bus.background_publisher() as publisher:
        for number in range(3 * positions.PAGE):
            publisher.put("t", number)
    with bus.subscribe("t", since="start") as events:
        assert events.get(5) is not None  # loads the script, which is sent twice if the server does not know it yet
    with bus.subscribe("t", since="start") as events:
        commands = commands_during(bus.redis, lambda: [events.get(5) for _ in range(positions.PAGE)])
        assert len([command for command in commands if "notify:log:t" in command]) == 1
        assert [event.contents for event in collect(events, 2 * positions.PAGE)] == list(range(positions.PAGE, 3 * positions.PAGE))


def test_events_that_arrive_while_a_long_log_is_read_stay_in_order(bus, collect):
    for number in range(positions.PAGE + 10):
        bus.publish("t", number)
    with bus.subscribe("t", since="start") as events:
        first = [events.get(5) for _ in range(3)]
        for number in range(positions.PAGE + 10, positions.PAGE + 20):
            bus.publish("t", number)
        rest = collect(events, positions.PAGE + 17)
        assert [event.contents for event in first + rest] == list(range(positions.PAGE + 20))


@pytest.mark.usefixtures("_impatient")
def test_a_lost_last_event_is_delivered_after_a_silence(bus, collect):
    """Experiment 3: the last event of a topic is lost by pub/sub, and no later one reveals it."""
    with bus.subscribe("t") as events:
        bus.publish("t", "heard")
        publish_unheard(bus, "t", "unheard")
        assert [event.contents for event in collect(events, 2)] == ["heard", "unheard"]


@pytest.mark.usefixtures("_impatient")
def test_a_lost_last_event_is_delivered_while_another_topic_is_busy(bus, another_bus):
    with bus.subscribe("quiet", "busy") as events:
        publish_unheard(bus, "quiet", "unheard")
        stop = threading.Event()

        def keep_busy() -> None:
            while not stop.wait(0.005):
                another_bus.publish("busy", 1)

        publishing = _in_thread(keep_busy)
        try:
            assert wait_until(lambda: events.get(1).contents == "unheard")
        finally:
            stop.set()
            publishing.join()


@pytest.mark.usefixtures("_impatient")
def test_a_topic_created_while_a_pattern_was_disconnected_is_repaired(bus, collect):
    with bus.subscribe("lab.*") as events:
        publish_unheard(bus, "lab.new", 1)
        publish_unheard(bus, "elsewhere", 2)
        publish_unheard(bus, "lab.new", 3)
        assert [(event.topic, event.contents) for event in collect(events, 2)] == [("lab.new", 1), ("lab.new", 3)]


@pytest.mark.usefixtures("_impatient")
def test_a_repair_delivers_only_topics_of_the_subscription(bus, collect):
    """For the server "é" is two bytes: a topic that a pattern does not match live must not be repaired either."""
    with bus.subscribe("?") as events:
        bus.publish("é", "not matched")
        bus.publish("e", "matched")
        assert [event.topic for event in collect(events, 1, quiet_s=0.5)] == ["e"]
    with bus.subscribe("??") as events:
        publish_unheard(bus, "é", "matched")
        assert [event.topic for event in collect(events, 1, quiet_s=0.5)] == ["é"]


def test_an_absence_longer_than_the_log_is_one_gap_with_the_right_range(bus, collect):
    """Experiment 6: the log was trimmed beyond the position of the subscriber."""
    with bus.subscribe("t") as events:
        seen = bus.publish("t", "seen")
        assert collect(events, 1)[0].id == seen
        missing = [publish_unheard(bus, "t", number) for number in range(10)]
        publish_unheard(bus, "t", "kept")
        trim(bus, "t", keep=1)
        bus.publish("t", "live")
        gap, kept, live = collect(events, 3)
    assert gap == Gap("t", "trimmed", first=seen, last=missing[-1])
    assert (kept.contents, live.contents) == ("kept", "live")


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("noticed", ["by the next event", "after a silence"])
def test_a_server_that_lost_its_data_is_one_gap_and_then_events_continue(bus, collect, noticed):
    """Experiment 7: the server restarts without its data."""
    with bus.subscribe("t") as events:
        seen = bus.publish("t", "seen")
        collect(events, 1)
        flushed_at = time.monotonic()
        bus.redis.flushall()
        if noticed == "after a silence":
            assert collect(events, 1) == [Gap("t", "epoch", seen, None)]
            bus.publish("t", "new")
            assert [event.contents for event in collect(events, 1)] == ["new"]
        else:
            bus.publish("t", "new")
            gap, event = collect(events, 2)
            assert (gap, event.contents) == (Gap("t", "epoch", seen, None), "new")
            assert time.monotonic() - flushed_at < 1
        before = time.monotonic()
        bus.publish("t", "live")
        assert [event.contents for event in collect(events, 1, quiet_s=0)] == ["live"]
        assert time.monotonic() - before < 1


@pytest.mark.slow
def test_a_server_frozen_for_6_s_is_detected_within_3_s_and_nothing_is_lost(own_server, connect_to, collect, caplog):
    """Experiment 4, with the default times; the three seconds count from the last answer of the server."""
    bus = connect_to(own_server, command_timeout_s=0.5)
    with bus.subscribe("t") as events:
        bus.publish("t", 1)
        collect(events, 1)
        own_server.freeze()
        frozen_at = time.monotonic()
        while "waits for the server" not in caplog.text:
            assert events.get(0.05) is None
        assert time.monotonic() - frozen_at < 3 + 0.5  # half a second for a busy machine
        while time.monotonic() - frozen_at < 6:
            assert events.get(0.5) is None
        own_server.thaw()
        for number in (2, 3):
            bus.publish("t", number)
        assert [event.contents for event in collect(events, 2)] == [2, 3]


@pytest.mark.usefixtures("_impatient")
def test_a_frozen_server_is_detected_and_nothing_is_lost_when_it_continues(own_server, connect_to, collect, caplog, monkeypatch):
    """Experiment 4, with shorter times."""
    monkeypatch.setattr(subscriber, "REPAIR_AFTER_S", 3600.0)
    bus = connect_to(own_server, command_timeout_s=0.2)
    with bus.subscribe("t") as events:
        bus.publish("t", 1)
        collect(events, 1)
        own_server.freeze()
        frozen_at = time.monotonic()
        while "waits for the server" not in caplog.text:
            assert events.get(0.05) is None
            assert time.monotonic() - frozen_at < 3
        own_server.thaw()
        bus.publish("t", 2)
        assert [event.contents for event in collect(events, 1)] == [2]


def test_N6_after_a_server_was_killed_and_restarted_events_continue(own_server, connect_to, collect):
    bus = connect_to(own_server)
    with bus.subscribe("t", "u*") as events:
        bus.publish("t", 1)
        bus.publish("u1", 1)
        collect(events, 2)
        own_server.kill()
        assert events.get(0.2) is None
        own_server.restart()
        bus.publish("t", 2)
        bus.publish("u1", 2)
        bus.publish("u2", 1)
        received = collect(events, 3, timeout_s=10)
    assert sorted((event.topic, event.contents) for event in received) == [("t", 2), ("u1", 2), ("u2", 1)]


def test_N6_a_server_killed_under_load_loses_no_acknowledged_event(own_server, connect_to):
    """Experiment 10: the server is restarted from its append-only file, without the loaded scripts."""
    received: list[int] = []
    with connect_to(own_server).subscribe("t") as events, Publishing(own_server.url) as publishing:
        publishing.go_on_for(50, timeout_s=10)
        own_server.kill()
        own_server.restart()
        publishing.go_on_for(50, timeout_s=10)
        publishing.stop()
        while not received or received[-1] < publishing.acknowledged[-1]:
            received.append(wait_until(lambda: events.get(1)).contents)
    assert received == sorted(set(received))
    assert set(publishing.acknowledged) <= set(received)


def test_an_outage_is_logged_once_with_its_end_and_without_the_password(own_server, connect_to, collect, caplog):
    caplog.set_level(logging.INFO)
    with notify.connect(own_server.url.replace("unix://", "unix://default:hush@")) as bus, bus.subscribe("t") as events:
        own_server.kill()
        for _ in range(10):
            assert events.get(0.02) is None
        own_server.restart()
        bus.publish("t", 1)
        collect(events, 1, timeout_s=10)
    lines = [record.getMessage() for record in caplog.records if record.name == "notify.events.pubsub"]
    assert lines[0].startswith("<Subscriber to t> waits for the server: no connection to")
    assert sum("no connection to unix://***@" in line for line in lines) == 1
    assert sum("has reached the server again after" in line for line in lines) == 1
    assert "hush" not in caplog.text


def test_M10_a_get_with_a_timeout_keeps_to_it_while_the_server_is_away(own_server, connect_to):
    bus = connect_to(own_server)
    with bus.subscribe("t") as events:
        own_server.kill()
        wait_until(lambda: events.get(0) is None and events._pubsub._backoff._began_at is not None)
        events._pubsub._backoff._began_at -= 60  # as if the outage had lasted a minute
        for timeout_s in (0, 0.1, 0.3):
            before = time.monotonic()
            assert events.get(timeout_s) is None
            assert time.monotonic() - before < timeout_s + 0.5


def test_a_subscriber_of_many_topics_repairs_each_once_after_a_cut(bus, another_bus, collect):
    topics = [f"t{number}" for number in range(50)]
    with another_bus.subscribe(*topics) as events:
        bus.publish("t7", "loads the scripts")
        collect(events, 1)

        def lose_and_find() -> None:
            cut(bus.redis, "another")
            publish_unheard(bus, "t49", "last")
            assert [event.contents for event in collect(events, 1, quiet_s=0.2)] == ["last"]

        looks = [command for command in commands_during(bus.redis, lose_and_find) if "EVALSHA" in command]
    assert len(looks) <= 50 + 5


@pytest.mark.any_server
@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("step_s", [0.04, 0.19, 1.0])
def test_a_frozen_server_is_detected_in_time_also_during_a_long_wait(own_server, connect_to, caplog, step_s):
    """Experiment 4: a wait ends when the next ping, or the answer to it, is due."""
    bus = connect_to(own_server)
    with bus.subscribe("t") as events:
        events.get(0)
        own_server.freeze()
        began = time.time()
        while "waits for the server" not in caplog.text:
            events.get(step_s)
        own_server.thaw()
    assert caplog.records[0].created - began < 2 * (pubsub.PROBE_AFTER_S + pubsub.PROBE_TIMEOUT_S)


def test_an_entry_added_to_a_log_by_hand_is_skipped(bus, collect):
    with bus.subscribe("t", since="start") as events:
        bus.publish("t", 1)
        bus.redis.xadd(bus.keys.log("t"), {"what": "ever"})
        publish_unheard(bus, "t", 2)
        bus.publish("t", 3)
        assert [event.contents for event in collect(events, 3)] == [1, 2, 3]


def test_a_retained_value_that_is_not_text_does_not_prevent_subscribing(bus, collect, caplog):
    bus.redis.set(bus.keys.retained("t"), b"\xff", ex=60)
    with bus.subscribe("t") as events:
        bus.publish("t", 1)
        assert [event.contents for event in collect(events, 1)] == [1]
    assert "the retained event of 't' cannot be decoded and is skipped" in caplog.text
