"""Values of all kinds in events, reports and states: the reader gets the form, a message class gives the value back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

import notify
from notify import ContentsError, Event
from tests.notify.values.test_signature import annotated, through_json, typed
from tests.support.typed_jobs import ITEM, NOON, VALUES, Color, Item, Order

PLACES: dict[str, Callable[[notify.Bus, Any], Any]] = {}


def place(write: Callable[[notify.Bus, Any], Any]) -> Callable[[notify.Bus, Any], Any]:
    PLACES[write.__name__] = write
    return write


def received(events: notify.Subscriber) -> Any:
    event = events.get(timeout_s=5)
    assert isinstance(event, Event)
    return event.contents


@place
def published(bus: notify.Bus, value: Any) -> Any:
    with bus.subscribe("t") as events:
        bus.publish("t", value)
        return received(events)


@place
def published_unlogged(bus: notify.Bus, value: Any) -> Any:
    with bus.subscribe("t") as events:
        bus.publish_unlogged("t", value)
        return received(events)


@place
def retained(bus: notify.Bus, value: Any) -> Any:
    bus.publish("t", value, retain_s=60)
    with bus.subscribe("t") as events:
        return received(events)


@place
def published_in_the_background(bus: notify.Bus, value: Any) -> Any:
    with bus.subscribe("t") as events, bus.background_publisher() as publisher:
        publisher.put("t", value)
        return received(events)


@place
def published_on_its_topic(bus: notify.Bus, value: Any) -> Any:
    with bus.subscribe("t") as events:
        bus.register_publisher("t")(value)
        return received(events)


@place
def reported(bus: notify.Bus, value: Any) -> Any:
    with bus.subscribe("svc.subject") as events, bus.service("svc") as service:
        service.report(value, subject="subject")
        return received(events)


@place
def set_in_a_state(bus: notify.Bus, value: Any) -> Any:
    bus.state("svc")["f"] = value
    return bus.state("svc")["f"]


@place
def added_to_a_state(bus: notify.Bus, value: Any) -> Any:
    assert bus.state("svc").add("f", value)
    return bus.state("svc")["f"]


@place
def appended_to_a_state(bus: notify.Bus, value: Any) -> Any:
    bus.state("svc").append("f", value)
    return bus.state("svc")["f"][0]


@place
def modified_in_a_state(bus: notify.Bus, value: Any) -> Any:
    bus.state("svc")["f"] = 1
    assert bus.state("svc").modify("f", lambda _: value) == value
    return bus.state("svc").snapshot()["f"]


@place
def updated_in_a_state(bus: notify.Bus, value: Any) -> Any:
    bus.state("svc").update({"g": 1}, f=value)
    return bus.state("svc")["f"]


@pytest.mark.parametrize("write", PLACES.values(), ids=PLACES)
def test_a_value_of_any_kind_is_read_in_its_form(bus: notify.Bus, write: Callable[[notify.Bus, Any], Any]) -> None:
    values, forms = ({name: pair[side] for name, pair in VALUES.items()} for side in (0, 1))
    assert write(bus, values) == forms


@pytest.mark.parametrize("write", PLACES.values(), ids=PLACES)
def test_what_json_cannot_hold_is_refused_with_the_path_and_the_type(bus: notify.Bus, write: Callable[[notify.Bus, Any], Any]) -> None:
    bad = {"items": [1, {}, {}, {"when": Item(object())}]}  # type: ignore[arg-type]  # this is what it is for
    with pytest.raises(ContentsError, match=r"cannot be written as JSON: at items\[3\]\.when\.when, a value of type object cannot be"):
        write(bus, bad)


class Everything(notify.Message, topic="everything"):
    aware: datetime
    naive: datetime
    day: date
    clock: time
    duration: timedelta
    uuid: UUID
    decimal: Decimal
    raw: bytes
    color: Color
    item: Item
    order: Order
    tags: set[str]
    frozen: frozenset[int]
    pair: tuple[int, datetime]
    by_id: dict[UUID, date]


def test_a_message_class_gives_all_kinds_back(bus: notify.Bus) -> None:
    message = Everything(**{name: value for name, (value, _) in VALUES.items()})
    with bus.subscribe(Everything) as events, bus.subscribe("everything") as plain:
        bus.publish(message)
        assert received(events) == message
        assert received(plain) == {name: form for name, (_, form) in VALUES.items()}


def test_an_event_shows_any_contents() -> None:
    text = str(Event(topic="t", contents={"at": NOON, "item": ITEM, "what": {object}}))  # type: ignore[dict-item]  # not sent
    assert '{"at": "2026-11-27T12:00:00Z", "item": {"when": "2026-11-27T12:00:00Z", "tags": ["a"]}, "what": ["<class' in text


def test_redis_shows_readable_json(bus: notify.Bus) -> None:
    bus.state("svc")["f"] = {"at": NOON, "tags": {"a"}}
    assert bus.redis.hget("notify:state:svc", "f") == b'{"at":"2026-11-27T12:00:00Z","tags":["a"]}'


@given(typed)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_a_field_of_a_state_can_be_converted(bus: notify.Bus, pair: tuple[Any, Any]) -> None:
    annotation, value = pair
    bus.state("svc")["f"] = value
    assert bus.state("svc")["f"] == through_json(value)
    assert annotated(annotation).result(bus.state("svc")["f"]) == msgspec.convert(bus.state("svc")["f"], annotation) == value
