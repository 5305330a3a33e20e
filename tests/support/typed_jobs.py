"""Jobs for the tests of values: with annotations, with wrong ones, and with results that JSON cannot hold."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from tests.support.sample_jobs import count
from workers import Job, current_job, job

if TYPE_CHECKING:
    from only_for_type_checkers import Unknown


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Item:
    when: datetime
    tags: set[str] = dataclasses.field(default_factory=set)


class Order(msgspec.Struct):
    id: UUID
    items: list[Item]
    price: Decimal = Decimal(0)


NOON = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
ID = UUID(int=3)
ITEM = Item(NOON, {"a"})

VALUES: dict[str, tuple[Any, Any]] = {
    "aware": (NOON, "2026-11-27T12:00:00Z"),
    "naive": (NOON.replace(tzinfo=None), "2026-11-27T12:00:00"),
    "day": (NOON.date(), "2026-11-27"),
    "clock": (time(7, 5), "07:05:00"),
    "duration": (timedelta(minutes=5), "PT300S"),
    "uuid": (ID, str(ID)),
    "decimal": (Decimal("1.50"), "1.50"),
    "raw": (b"ab", "YWI="),
    "color": (Color.RED, "red"),
    "item": (ITEM, {"when": "2026-11-27T12:00:00Z", "tags": ["a"]}),
    "order": (Order(ID, [ITEM]), {"id": str(ID), "items": [{"when": "2026-11-27T12:00:00Z", "tags": ["a"]}], "price": "0"}),
    "tags": ({"a"}, ["a"]),
    "frozen": (frozenset({1}), [1]),
    "pair": ((1, NOON), [1, "2026-11-27T12:00:00Z"]),
    "by_id": ({ID: NOON.date()}, {str(ID): "2026-11-27"}),
}
"""A value of each kind and its form, by the name of a parameter of `take`."""


def take(
    aware: datetime,
    naive: datetime,
    day: date,
    clock: time,
    duration: timedelta,
    uuid: UUID,
    decimal: Decimal,
    raw: bytes,
    color: Color,
    item: Item,
    order: Order,
    tags: set[str],
    frozen: frozenset[int],
    pair: tuple[int, datetime],
    by_id: dict[UUID, date],
) -> list[str]:
    """Return the values as text, with their types."""
    return [repr(value) for value in locals().values()]


def take_anything(**values: Any) -> list[str]:
    return [repr(value) for value in values.values()]


take_typed = job("work")(take)
take_untyped = job("work")(take_anything)


@job("work")
def give_order(at: datetime) -> Order:
    return Order(ID, [Item(at)])


@job("work")
def give_untyped(what: str) -> Any:
    return VALUES[what][0]


@job("work")
async def give_later(day: date) -> date:
    await asyncio.sleep(0)
    return day + timedelta(days=1)


@job("work")
def give_the_wrong_type() -> datetime:
    return "soon"  # type: ignore[return-value]  # this is what it is for


@job("work")
def take_unknown(what: Unknown, at: datetime) -> Unknown:
    return [repr(what), repr(at)]


@job("work")
def remind(at: datetime, times: int = 1) -> None:
    count("reminded")


@job("work")
def build() -> Any:
    count("built")
    return {"items": [1, {}, {}, {"when": object()}]}


@job("work")
def keep_in_meta(what: str) -> None:
    current_job().meta["it"] = VALUES[what][0]
    current_job().save_meta()


@job("work")
def keep_badly_in_meta() -> None:
    current_job().meta["it"] = {"deep": [object()]}
    current_job().save_meta()


@job("work")
def note_failure(failed: Job, connection: Any, kind: type[Exception], error: Exception, traceback: object) -> None:
    connection.set("rq:test:failure", f"{kind.__name__}: {error}")
