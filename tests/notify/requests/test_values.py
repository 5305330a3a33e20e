"""Values of all kinds in requests: the method gets them by its annotations, the caller gets the result by those of the method it names."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

import notify
from notify import RequestFailedError
from tests.support.typed_jobs import ID, NOON, VALUES, Item, Order, take, take_anything

pytestmark = pytest.mark.any_server


class Desk:
    """What the service exports."""

    def take(self, **values: Any) -> list[str]:
        return take_anything(**values)

    def give(self, what: str) -> Any:
        return VALUES[what][0]

    def order(self, at: datetime, *more: date, id: UUID = ID) -> Order:  # noqa: A002  # a usual name
        return Order(id, [Item(at), *(Item(datetime.combine(day, at.timetz())) for day in more)])

    def after(self, at: datetime, wait: timedelta) -> datetime:
        return at + wait

    def unknown(self, at: missing) -> missing:  # noqa: F821  # it cannot be resolved
        return repr(at)

    def wrong(self) -> datetime:
        return "soon"


class Typed:
    take = staticmethod(take)


@pytest.fixture
def desk(bus: notify.Bus, another_bus: notify.Bus):
    with another_bus.service("desk", exports=Desk()), another_bus.service("typed", exports=Typed()):
        yield partial(bus.call, "desk")


def test_arguments_of_all_kinds_come_back_by_the_annotations_of_the_method(bus, desk):
    values = {name: value for name, (value, _) in VALUES.items()}
    assert bus.call("typed", "take", **values) == [repr(value) for value in values.values()]
    assert bus.call("typed", "take", *values.values()) == [repr(value) for value in values.values()]


def test_arguments_of_all_kinds_stay_in_their_forms_without_annotations(desk):
    assert desk("take", **{name: value for name, (value, _) in VALUES.items()}) == [repr(form) for _, form in VALUES.values()]
    assert desk("unknown", NOON) == "'2026-11-27T12:00:00Z'"


@pytest.mark.parametrize("name", VALUES)
def test_a_result_of_any_kind_stays_in_its_form_for_the_name_of_a_method(desk, name):
    assert desk("give", name) == desk(Desk.give, name) == VALUES[name][1]


def test_a_result_comes_back_by_the_annotation_of_the_method_that_is_given(desk):
    assert desk(Desk.after, NOON, wait=timedelta(hours=1)) == NOON + timedelta(hours=1)
    assert desk("after", NOON, timedelta(hours=1)) == "2026-11-27T13:00:00Z"
    assert desk(Desk.order, NOON, NOON.date(), id=ID) == Order(ID, [Item(NOON), Item(NOON)])
    assert desk(Desk().wrong) == "soon"


@pytest.mark.parametrize(
    ("method", "args", "kwargs", "message"),
    [
        ("after", ["soon", "PT1S"], {}, "the argument 'at' of Desk.after is \"soon\", which does not fit its annotation datetime"),
        ("after", [NOON], {"wait": 3}, "the argument 'wait' of Desk.after is 3, which does not fit its annotation timedelta"),
        ("order", [NOON, "x"], {}, "the argument 'more' of Desk.order is \"x\", which does not fit its annotation date"),
        ("give", [5], {}, "the argument 'what' of Desk.give is 5, which does not fit its annotation str"),
    ],
)
def test_an_argument_that_does_not_fit_is_a_type_error_at_the_caller(desk, method, args, kwargs, message):
    with pytest.raises(RequestFailedError) as caught:
        desk(method, *args, **kwargs)
    assert caught.value.error_type == "TypeError"
    assert caught.value.error_message.startswith(message)
