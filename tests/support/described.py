"""Messages, jobs and services that are described by AsyncAPI."""

from datetime import date
from typing import Any

import msgspec

import notify
from workers import job


class Reading(notify.Message, topic="temperature"):
    """A temperature."""

    celsius: float
    sensor: str = "outside"


class Item(msgspec.Struct):
    name: str
    count: int = 1


class Odd:
    """Has no JSON schema."""


@job("yard")
def sweep(item: Item, day: date, *, often: int = 1) -> None:
    """Sweep the yard."""


@job("yard")
async def look(*places: str, odd: Odd | None = None, **more: Any) -> None: ...


class Stock:
    def __init__(self, path: str) -> None:
        raise AssertionError("nothing is made for a description")

    def reserve(self, item: Item) -> list[Item]:
        """Reserve an item."""
        return [item]

    def count(self) -> int:
        return 1
