"""Reports to one subscriber: who gets them, and who does not."""

import pytest

import notify
from notify.events import demand as demand_module
from notify.testing import fake_bus, wait_until
from tests.support.faults import cut


@pytest.fixture
def clock(bus):
    with bus.service("clock") as clock:
        yield clock


def test_N12_a_report_can_be_sent_to_the_subscriber_that_joined(bus, another_bus, clock, collect, monkeypatch):
    """Nobody else gets it, not even a subscriber to all topics."""
    monkeypatch.setattr(demand_module, "POLL_S", 0.01)
    with bus.subscribe("clock.*", "*") as all_topics, bus.demand("clock.welcome") as demand:
        assert demand.get(5) == notify.Joined("clock.welcome", "test", 1)
        with another_bus.subscribe("clock.*", "clock.welcome") as newcomer:
            joined = demand.get(5)
            assert clock.report("hello", subject="welcome", to=joined.name) == ""
            clock.report("for all", subject="welcome")
            one, other = collect(newcomer, 2)
        assert (one.topic, one.contents, one.source, one.id) == ("clock.welcome", "hello", f"clock#{clock.incarnation}", None)
        assert notify.Report.of(one).subject == "welcome"
        assert other.contents == "for all"
        assert [event.contents for event in collect(all_topics, 1)] == ["for all"]


def test_N12_a_subscriber_seen_in_a_demand_can_be_reached_at_once(bus, another_bus, clock, monkeypatch):
    """It listens for direct reports before it subscribes to its topics, whether by name or by pattern."""
    monkeypatch.setattr(demand_module, "POLL_S", 0)
    for topic in ["clock.n", "clock.*"] * 10:
        with bus.demand("clock.n") as demand, another_bus.subscribe(topic) as events:
            joined = wait_until(lambda demand=demand: demand.get(0))
            clock.report(topic, subject="n", to=joined.name)
            assert events.get(5).contents == topic


def test_N12_a_client_of_a_manager_and_a_listener_are_reached_by_their_names(bus, another_bus, clock):
    got, heard = [], []
    with another_bus.manager() as manager, another_bus.listen("clock.*", callback=heard.append):
        manager.subscribe_reports("client", got.append, service="clock", subject="time")
        clock.report(1, subject="time", to="client")
        clock.report(2, subject="time", to="another")
        clock.report(3, subject="time")
        wait_until(lambda: len(got) == len(heard) == 2, timeout_s=15)
    assert [report.contents for report in got] == [1, 3]
    assert [event.contents for event in heard] == [2, 3]


def test_N12_a_status_report_to_one_subscriber_is_of_its_message_class(bus, another_bus, clock):
    class Status(notify.Message, topic="clock_status"):
        text: str

    with another_bus.subscribe(Status) as events:
        clock.report({"text": "fine"}, to="another")
        assert events.get(5).contents == Status(text="fine")
        clock.report("no status", to="another")
        assert events.get(0.2) is None
        assert events.skipped == 1


def test_N12_a_direct_report_on_another_topic_is_ignored(bus, another_bus, clock):
    with another_bus.subscribe("other") as events:
        clock.report(1, subject="time", to="another")
        assert events.get(0.2) is None
        assert events.positions == {"other": "start"}


def test_N12_a_report_to_nobody_raises(bus, another_bus, clock):
    with another_bus.subscribe("clock.*"):
        clock.report(1, subject="time", to="another")
    with pytest.raises(notify.NotSubscribedError, match=r"no subscriber is named 'another': .*demand\('clock.time'\)"):
        wait_until(lambda: clock.report(1, subject="time", to="another"))


@pytest.mark.parametrize("options", [{"retain_s": 60}, {"key": "k"}])
def test_N12_a_direct_report_is_not_retained_and_has_no_key(bus, another_bus, clock, options):
    with another_bus.subscribe("clock.*") as events:
        with pytest.raises(notify.SettingsError, match="leave out retain_s and key"):
            clock.report(1, subject="time", to="another", **options)
        clock.report(2, subject="time", to="another")
        assert events.get(5).contents == 2
    assert "clock.time" not in bus.topics()
    assert bus.redis.keys("notify:*clock.time*") == []


def test_N12_direct_reports_arrive_again_after_a_reconnect(bus, another_bus, clock):
    with another_bus.subscribe("clock.*") as events:
        assert cut(bus.redis, "another") == 1
        clock.report("all", subject="time")
        assert events.get(5).contents == "all"
        clock.report("one", subject="time", to="another")
        assert events.get(5).contents == "one"


def test_N12_what_is_no_event_on_a_direct_channel_is_ignored(bus, another_bus):
    with another_bus.subscribe("*") as events:
        for payload in (b"text", b'{"celsius": 1}', b"\xff"):
            bus.redis.publish(bus.keys.direct_channel("another"), payload)
        bus.publish("t", "next")
        assert events.get(5).contents == "next"
        assert events.skipped == 0


def test_N12_a_service_that_has_ended_sends_no_direct_report(bus, another_bus, clock):
    clock.kill()
    with another_bus.subscribe("*"), pytest.raises(notify.ServiceKilledError):
        clock.report(1, to="another")


def test_N12_a_report_to_one_subscriber_works_on_a_fake_server():
    with fake_bus() as bus, bus.service("clock") as clock, bus.subscribe("clock_status") as events:
        clock.report("hello", to="fake")
        assert events.get(5).contents == "hello"
