"""Reports: their subjects, and the services that made them."""

import threading

import pytest

import notify
from notify.events import EventScripts


@pytest.fixture
def subscribe(bus):
    """Collect the reports about a subject, from all services unless one is named."""
    with bus.manager() as manager:

        def listen(client: str = "client", **what: str) -> "Reports":
            received = Reports()
            manager.subscribe_reports(client, received.append, **what)
            return received

        yield listen


class Reports:
    def __init__(self) -> None:
        self.reports: list[notify.Report] = []
        self._came = threading.Condition()

    def append(self, report: notify.Report) -> None:
        with self._came:
            self.reports.append(report)
            self._came.notify_all()

    def first(self, count: int) -> list[notify.Report]:
        with self._came:
            assert self._came.wait_for(lambda: len(self.reports) >= count, 5), self.reports
            return self.reports[:count]


def test_N3_a_report_has_service_subject_and_time(bus, subscribe):
    received = subscribe()
    with bus.service("clock") as clock:
        clock.report("Tue Nov  7 13:08:21 2017", subject="system.ctime")
        clock.report(1510060101.5, subject="system.time")
        first, second = received.first(2)
        assert (first.service, first.subject, first.contents) == ("clock", "system.ctime", "Tue Nov  7 13:08:21 2017")
        assert (second.service, second.subject, second.contents) == ("clock", "system.time", 1510060101.5)
        assert first.incarnation == second.incarnation == clock.incarnation
        assert first.time.tzinfo is not None


def test_N3_reports_tell_incarnations_of_one_name_apart(bus, subscribe):
    received = subscribe(subject="state")
    incarnations = []
    for _ in range(2):
        with bus.service("clock") as clock:
            clock.report("up", subject="state")
            incarnations.append(clock.incarnation)
    assert [report.incarnation for report in received.first(2)] == incarnations


def test_N3_a_service_and_a_subject_with_dots_are_not_confused(bus, subscribe):
    received = subscribe()
    with bus.service("a.b") as one, bus.service("a") as other:
        one.report(1, subject="c")
        other.report(2, subject="b.c")
        assert [(report.service, report.subject) for report in received.first(2)] == [("a.b", "c"), ("a", "b.c")]


def test_N11_a_subject_can_be_a_pattern_and_other_events_are_left_out(bus, subscribe):
    received = subscribe(service="clock", subject="system.*")
    with bus.service("clock") as clock, bus.service("other") as other:
        clock.report(1, subject="system")
        other.report(2, subject="system.time")
        bus.publish("clock.system.x", 3)
        clock.report(4, subject="system.time")
        assert [report.contents for report in received.first(1)] == [4]


def test_N10_a_retained_report_reaches_a_later_subscriber(bus, subscribe):
    with bus.service("clock") as clock:
        clock.report("first", subject="state", retain_s=-1)
        clock.report("last", subject="state", retain_s=60)
        assert [report.contents for report in subscribe().first(1)] == ["last"]


def test_an_error_can_be_reported(bus, subscribe):
    received = subscribe()
    with bus.service("clock") as clock:
        clock.report(ValueError("too late"), subject="alarm")
        assert received.first(1)[0].contents == notify.Failure("ValueError", "too late")


@pytest.mark.parametrize("subject", ["", "system.*", 7])
def test_a_report_with_an_invalid_subject_is_refused(bus, subject):
    with bus.service("clock") as clock, pytest.raises(notify.InvalidTopicError):
        clock.report(1, subject=subject)


def test_an_event_on_the_topic_of_another_service_is_no_report():
    assert notify.Report.of(notify.Event(topic="other.state", contents=1, source="clock#1")) is None
    assert notify.Report.of(notify.Event(topic="clock.state", contents=1, source="clock#1")).subject == "state"
    assert notify.Report.of(notify.Event(topic="clock.state", contents=1, source="clock")) is None


def _retained(bus) -> list[str]:
    return sorted(key.decode().removeprefix("notify:retained:") for key in bus.redis.keys("notify:retained:*"))


def test_N10_a_service_expires_its_retained_reports_by_subject_or_pattern(bus, subscribe):
    with bus.service("clock") as clock:
        for subject in ("system.time", "system.ctime", "system.date", "alarm", "alarm.sub"):
            clock.report(subject, subject=subject, retain_s=60)
        assert clock.reports.expire("alarm", "never reported") == ["clock.alarm"]
        assert clock.reports.expire(["system.*time"]) == ["clock.system.ctime", "clock.system.time"]
        assert clock.reports.expire("alarm") == []
        assert _retained(bus) == ["clock.alarm.sub", "clock.system.date"]
        assert [report.subject for report in subscribe().first(2)] == ["alarm.sub", "system.date"]
        with bus.subscribe("clock.alarm", since="start") as log:
            assert log.get(5).contents == "alarm"


def test_N10_a_purge_deletes_all_retained_reports_and_the_status_event(bus):
    with bus.service("clock") as clock:
        clock.report("running", retain_s=60)
        clock.report(1, subject="time", retain_s=60)
        bus.publish("clock", "no report", retain_s=60)
        assert clock.reports.purge() == ["clock.time", "clock_status"]
        assert clock.reports.purge() == []
        assert _retained(bus) == ["clock"]


def test_N10_reports_of_others_are_not_expired(bus):
    """Another service or a later incarnation may have reported on the same topic, and an event may only look like a report."""
    with bus.service("a") as one, bus.service("a.b") as other:
        other.report(1, subject="c", retain_s=60)
        bus.publish("a.x", 2, retain_s=60)
        bus.publish("a_status", 3, retain_s=60)
        bus.redis.set("notify:retained:a.y", b"\xff", px=60_000)
        assert one.reports.expire("*", "b.c") == one.reports.purge() == []
        assert other.reports.expire("c") == ["a.b.c"]
    with bus.service("a") as earlier:
        earlier.report("earlier", subject="s", retain_s=60)
        bus.publish("t", 1)
        later = notify.Event(topic="a.s", contents="later", source=f"a#{earlier.incarnation + 1}")
        bus.register_publisher("a.s")(later, retain_s=60)
        assert earlier.reports.purge() == []
    assert _retained(bus) == ["a.s", "a.x", "a.y", "a_status"]


def test_N10_a_service_expires_what_its_earlier_incarnation_retained(bus):
    with bus.service("clock") as first:
        first.report(1, subject="time", retain_s=60)
    with bus.service("clock") as second:
        assert second.reports.purge() == ["clock.time"]


def test_N10_a_report_retained_while_others_are_expired_stays(bus, monkeypatch):
    """Twin: the script compares with what was read. A report that replaces it in between is not deleted."""
    with bus.service("clock") as clock:
        clock.report("old", subject="time", retain_s=60)
        read = EventScripts.retained

        def read_then_report(scripts, topics):
            found = read(scripts, topics)
            clock.report("new", subject="time", retain_s=60)
            return found

        monkeypatch.setattr(EventScripts, "retained", read_then_report)
        assert clock.reports.expire("time") == []
        monkeypatch.undo()
        with bus.subscribe("clock.time") as late:
            assert late.get(5).contents == "new"


def test_N10_a_kill_with_purge_deletes_the_retained_reports_too(bus):
    with bus.service("clock") as clock, bus.service("other") as other:
        for service in (clock, other):
            service.report(1, subject="time", retain_s=60)
            service.kill(purge=service is clock)
        assert _retained(bus) == ["other.time"]
        with pytest.raises(notify.ServiceKilledError):
            other.reports.expire("time")
        with pytest.raises(notify.ServiceKilledError):
            other.reports.purge()


def test_N10_expiring_needs_an_open_service_and_valid_subjects(bus):
    with pytest.raises(notify.ClosedError):
        bus.service("clock").reports.expire("time")
    with bus.service("clock") as clock:
        for subjects, error in (([], notify.EmptySubscriptionError), ([None], notify.TopicTypeError), ([""], notify.InvalidTopicError)):
            with pytest.raises(error):
                clock.reports.expire(*subjects)


def test_N10_a_bus_expires_retained_events_by_topic_or_pattern(bus):
    for number in range(250):
        bus.publish(f"t{number:03}", number, retain_s=60)
    bus.publish("u", 1, retain_s=60)
    bus.redis.set("notify:retained:v", b"\xff", px=60_000)
    assert bus.expire_retained("u", "v", "unknown") == ["u", "v"]
    assert bus.expire_retained(["t00[0-4]"]) == [f"t{number:03}" for number in range(5)]
    assert len(bus.expire_retained("*")) == 245
    assert _retained(bus) == []
    with pytest.raises(notify.EmptySubscriptionError):
        bus.expire_retained()
