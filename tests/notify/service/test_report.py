"""Reports: their subjects, and the services that made them."""

import threading

import pytest

import notify


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
