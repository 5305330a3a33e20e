"""The two ends of flows on topics: what is published arrives in the next flow, in order, each event once."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import notify
from notify import ContentsError, Event, Gap, InvalidTopicError, WiringError
from notify.flows import Failed, Flow, contents, discard, pipeline, publish_to, stage, subscribe_to
from notify.testing import PrivateServer, wait_until
from tests.support.processes import Process


def test_K4_publish_to_ends_a_flow_and_subscribe_to_begins_one(bus: notify.Bus, another_bus: notify.Bus) -> None:
    got: list[Any] = []
    with pipeline(subscribe_to(another_bus, "t"), contents, got.append) as reading:
        pipeline(range(1_000), publish_to(bus, "t")).run()
        wait_until(lambda: len(got) >= 1_000, what="all events")
        assert reading.close()
    assert got == list(range(1_000))


def test_K4_with_forward_the_items_pass_on_too(bus: notify.Bus) -> None:
    got: list[Any] = []
    with bus.subscribe("t") as events:
        flow = pipeline(["a", {"b": 1}], publish_to(bus, "t", forward=True), got.append)
        flow.run()
        assert [event.contents for event in (events.get(5), events.get(5)) if isinstance(event, Event)] == ["a", {"b": 1}]
    assert got == ["a", {"b": 1}]
    assert flow.counters()["PublishTo"].out == 2
    with pytest.raises(WiringError, match="'out'"):
        pipeline([1], publish_to(bus, "t"), discard)


def test_the_source_of_an_event_is_the_bus_and_its_time_stays(bus: notify.Bus, another_bus: notify.Bus) -> None:
    with bus.subscribe("in") as events:
        another_bus.publish("in", "x")
        first = events.get(5)
        assert isinstance(first, Event)
    with bus.subscribe("out") as events:
        pipeline([first], publish_to(bus, "out")).run()
        second = events.get(5)
    assert isinstance(second, Event)
    assert (second.topic, second.contents, second.source, second.time) == ("out", "x", "test", first.time)


class Reading(notify.Message, topic="readings"):
    celsius: float


def test_without_a_topic_events_and_messages_go_to_their_own(bus: notify.Bus) -> None:
    errors: list[Failed] = []
    with bus.subscribe("a", Reading) as events:
        pipeline([Event(topic="a", contents=1), Reading(celsius=20.5), "no topic"], publish_to(bus), errors=errors.append).run()
        found = [events.get(5), events.get(5)]
    assert [(event.topic, event.contents) for event in found if isinstance(event, Event)] == [("a", 1), ("readings", Reading(celsius=20.5))]
    assert "names no topic: give publish_to a topic" in str(errors[0].error)


def test_an_item_that_cannot_be_published_goes_to_error_and_the_others_are_published(bus: notify.Bus) -> None:
    errors: list[Failed] = []
    large = "x" * (bus.settings.max_payload_bytes + 1)
    with bus.subscribe("t") as events:
        pipeline([1, object(), 2, large, 3], publish_to(bus, "t"), errors=errors.append).run()
        assert [getattr(events.get(5), "contents", None) for _ in range(3)] == [1, 2, 3]
    assert [type(failed.error) for failed in errors] == [ContentsError, notify.PayloadTooLargeError]


def test_the_items_before_one_that_ends_the_flow_are_published(bus: notify.Bus) -> None:
    with bus.subscribe("t") as events:
        with pytest.raises(ContentsError):
            pipeline([1, 2, object()], publish_to(bus, "t")).run()
        assert [getattr(events.get(5), "contents", None) for _ in range(2)] == [1, 2]


def test_an_item_that_failed_elsewhere_cannot_be_published_and_is_not_lost(bus: notify.Bus) -> None:
    errors: list[Failed] = []
    failed = Failed(1, ValueError("here"), "elsewhere")
    pipeline([failed], publish_to(bus, "t"), errors=errors.append).run()
    assert errors[0].item == failed


def test_an_event_that_the_server_refuses_goes_to_error(bus: notify.Bus) -> None:
    bus.redis.set(bus.keys.log("spoilt"), "no stream", px=60_000)
    errors: list[Failed] = []
    pipeline([Event(topic="spoilt", contents=1), Event(topic="t", contents=2)], publish_to(bus), errors=errors.append).run()
    assert [failed.item.topic for failed in errors] == ["spoilt"]
    assert "the server refused an event on 'spoilt'" in str(errors[0].error)


def test_an_outage_of_the_server_holds_the_flow_back_and_loses_nothing(own_server: PrivateServer) -> None:
    got: list[Any] = []
    with notify.connect(own_server.url) as bus:
        with pipeline(subscribe_to(bus, "t"), contents, got.append):
            own_server.kill()
            writing = pipeline(range(500), publish_to(bus, "t")).start()
            assert not writing.wait(0.2)
            own_server.restart()
            assert writing.wait(10)
            assert writing.close()
            wait_until(lambda: len(got) >= 500, timeout_s=15, what="all events")
        assert got == list(range(500))


def test_a_flow_that_is_cut_in_an_outage_counts_what_it_could_not_publish(own_server: PrivateServer) -> None:
    with notify.connect(own_server.url) as bus:
        own_server.kill()
        flow = pipeline(range(500), publish_to(bus, "t")).start()
        wait_until(lambda: flow.counters()["range"].out == 500, what="the items")
        assert flow.close(timeout_s=0.1) is False
        assert flow.counters()["PublishTo"].dropped == 500
        own_server.restart()


def test_the_subscription_is_live_when_the_flow_has_started(bus: notify.Bus) -> None:
    got: list[Any] = []
    with pipeline(subscribe_to(bus, "a*", Reading, exclude_own=False), contents, got.append):
        bus.publish("attic", 1)
        bus.publish(Reading(celsius=1.5))
        wait_until(lambda: len(got) == 2, what="the events")
    assert got == [1, Reading(celsius=1.5)]


def test_since_says_where_to_begin(bus: notify.Bus) -> None:
    for number in range(3):
        bus.publish("t", number)
    got: list[Any] = []
    with pipeline(subscribe_to(bus, "t", since="start"), contents, got.append):
        wait_until(lambda: len(got) == 3, what="the events")
    assert got == [0, 1, 2]


def test_K13_a_peer_can_leave_out_its_own_events(bus: notify.Bus, another_bus: notify.Bus) -> None:
    got: list[Any] = []
    with pipeline(subscribe_to(bus, "chat", exclude_own=True), contents, got.append):
        pipeline(["mine"], publish_to(bus, "chat")).run()
        pipeline(["yours"], publish_to(another_bus, "chat")).run()
        wait_until(lambda: got, what="the event of the peer")
    assert got == ["yours"]


def test_a_gap_travels_through_the_flow_and_a_sink_can_ask_for_it(bus: notify.Bus) -> None:
    since = bus.publish("t", 0)
    for number in range(1, 4):
        bus.publish("t", number)
    bus.redis.xtrim(bus.keys.log("t"), maxlen=1, approximate=False)
    got: list[Any] = []
    with pipeline(subscribe_to(bus, "t", since=since), contents, stage(got.append, gaps=True)):
        wait_until(lambda: len(got) == 2, what="the gap and the event")
    assert isinstance(got[0], Gap)
    assert (got[0].reason, got[1]) == ("trimmed", 3)


def test_a_gap_that_nobody_asks_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    flow = pipeline([1, Gap("t", "trimmed", None, None)], lambda item: item, discard)
    flow.run()
    assert "a gap reached 'discard', the end of a flow, which does not ask for gaps" in caplog.text
    assert flow.counters()["discard"].taken == 1


def test_the_end_of_the_bus_ends_the_flow(server: PrivateServer, bus: notify.Bus) -> None:
    with notify.connect(server.url) as other:
        flow = pipeline(subscribe_to(other, "t"), discard).start()
    assert flow.wait(5)
    assert flow.close()


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda bus: publish_to(bus, "t*"), InvalidTopicError),
        (lambda bus: publish_to(bus, ""), InvalidTopicError),
        (lambda bus: subscribe_to(bus), notify.EmptySubscriptionError),
        (lambda bus: subscribe_to(bus, ""), InvalidTopicError),
        (lambda bus: subscribe_to(bus, "t", position=""), WiringError),
        (lambda bus: subscribe_to(bus.backplane("b"), "t"), WiringError),
        (lambda bus: publish_to(bus.backplane("a b")), notify.InvalidServiceError),
    ],
)
def test_ends_that_cannot_work_are_refused_at_once(bus: notify.Bus, make: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        make(bus)


def test_a_subscription_is_no_source_outside_a_flow(bus: notify.Bus) -> None:
    with pytest.raises(notify.ClosedError, match="run it in a flow"):
        next(iter(subscribe_to(bus, "t")))  # type: ignore[call-overload]  # the base class has no iterator


def reading(target: Any, got: list[Any]) -> Flow:
    return pipeline(subscribe_to(target), contents, got.append).start()


def test_K3_publishers_and_subscribers_come_and_go(bus: notify.Bus, another_bus: notify.Bus) -> None:
    first: list[Any] = []
    second: list[Any] = []
    with bus.backplane("readings") as plane:
        one = reading(plane, first)
        pipeline([1, 2], publish_to(another_bus.backplane("readings"))).run()
        wait_until(lambda: first == [1, 2], what="the events of a publisher that has ended")
        two = reading(another_bus.backplane("readings"), second)
        assert one.close()  # the end of a subscriber is that of nobody else
        pipeline([3], publish_to(plane)).run()
        wait_until(lambda: second == [3], what="the event after that")
    assert two.wait(5)  # the end of the backplane is that of its subscribers
    assert two.close()
    assert first == [1, 2]


def test_K3_a_second_backplane_of_a_name_is_refused_until_the_first_is_closed(bus: notify.Bus, another_bus: notify.Bus) -> None:
    with bus.backplane("readings") as plane:
        assert plane.is_open
        with pytest.raises(notify.ServiceNameTakenError):
            another_bus.backplane("readings").open()
    assert not plane.is_open
    with another_bus.backplane("readings"):
        assert plane.is_open
    assert plane.close() is False
    assert repr(plane) == "<Backplane 'readings'>"


def test_K3_a_subscriber_gets_all_events_before_the_end(bus: notify.Bus) -> None:
    got: list[Any] = []
    with bus.backplane("readings") as plane:
        flow = reading(plane, got)
        for number in range(500):
            bus.publish("readings", number)
    assert flow.wait(10)
    assert flow.close()
    assert got == list(range(500))


def test_K3_a_subscriber_may_come_before_the_backplane(bus: notify.Bus) -> None:
    got: list[Any] = []
    flow = reading(bus.backplane("readings"), got)
    with bus.service("other"):
        assert not flow.wait(0.05)  # that another service ends is nothing to it
    assert not flow.wait(0.05)
    with bus.backplane("readings"):
        bus.publish("readings", 1)
    assert flow.wait(5)
    assert flow.close()
    assert got == [1]


def test_K3_the_end_by_kill_is_an_end_too(bus: notify.Bus, another_bus: notify.Bus) -> None:
    flow = reading(bus.backplane("readings"), [])
    another_bus.backplane("readings").open()
    bus.directory.kill("readings")
    assert flow.wait(5)
    assert flow.close()


@pytest.mark.any_server
def test_K3_the_end_of_an_owner_by_kill_9_ends_its_subscribers(
    server: PrivateServer, bus: notify.Bus, start: Callable[..., Process]
) -> None:
    owner = start("service", server.url, "readings", 0.3)
    owner.told()
    flow = reading(bus.backplane("readings"), [])
    owner.kill()
    assert flow.wait(10)
    assert flow.close()


def test_a_subscription_is_in_one_flow_only(bus: notify.Bus) -> None:
    source = subscribe_to(bus, "t")
    pipeline(source, discard).start().close()
    with pytest.raises(notify.ClosedError, match="make another one"):
        pipeline(source, discard).start()


def test_events_of_a_subscription_reach_the_sink_while_the_source_is_blocked(bus: notify.Bus) -> None:
    go_on = threading.Event()
    got: list[Any] = []

    def slow(item: Any) -> Iterator[Any]:
        go_on.wait(5)
        yield item

    with pipeline(subscribe_to(bus, "t"), contents, stage(slow, max_items=1), got.append) as flow:
        for number in range(20):
            bus.publish("t", number)
        wait_until(lambda: flow.counters()["slow"].queued == 1, what="a full queue")
        go_on.set()
        wait_until(lambda: len(got) == 20, what="all events")
    assert got == list(range(20))
