"""Events under the same faults: one publisher and several subscribers, whose connections are closed by the server as well."""

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import msgspec
import redis

import notify
from notify.testing import wait_until

__all__ = ["Delivery", "delivering"]

TOPIC: Final = "chaos"
SUBSCRIBERS: Final = 3
QUIET_S: Final = 1.0
CUT_S: Final = (0.1, 1.0)
"""The pause between two cuts of all connections of subscribers."""


class Delivery(msgspec.Struct, frozen=True):
    """What one subscriber got: events, gaps, how often connections were cut, and everything that is not as it must be."""

    published: int
    events: int
    gaps: Sequence[notify.Gap]
    cuts: int
    faults: Sequence[str]


@contextmanager
def delivering(bus: notify.Bus, *, seed: int) -> Iterator[list[Delivery]]:
    """Publish numbers during the block, and read them in several subscribers. Afterwards the list holds what each got."""
    stop, published, cuts, found = threading.Event(), list[int](), list[int](), list[Delivery]()
    with notify.connect(settings=bus.settings, name="chaos-reader") as reader:
        subscribers = [reader.subscribe(TOPIC) for _ in range(SUBSCRIBERS)]
        received: list[list[Any]] = [[] for _ in subscribers]
        readers = [threading.Thread(target=_read, args=pair) for pair in zip(subscribers, received, strict=True)]
        others = [
            threading.Thread(target=_publish, args=(bus, published, stop)),
            threading.Thread(target=_cut, args=(bus.settings.url, random.Random(seed), cuts, stop)),
        ]
        for thread in (*readers, *others):
            thread.start()
        try:
            yield found
        finally:
            stop.set()
            for thread in others:
                thread.join()
            with suppress(TimeoutError):
                wait_until(lambda: all(items and _number(items[-1]) == published[-1] for items in received), timeout_s=20)
            threading.Event().wait(QUIET_S)  # what comes twice comes now
            for subscriber in subscribers:
                subscriber.close()
            for thread in readers:
                thread.join()
    found += [_delivery(published, items, len(cuts)) for items in received]


def _publish(bus: notify.Bus, published: list[int], stop: threading.Event) -> None:
    """Publish numbers, each until the server has acknowledged it."""
    number = 0
    while not stop.wait(0.002):
        try:
            bus.publish(TOPIC, number, key=f"number-{number}")
        except notify.ServerError:
            continue
        published.append(number)
        number += 1


def _cut(url: str | None, choice: random.Random, cuts: list[int], stop: threading.Event) -> None:
    with redis.Redis.from_url(url or "") as client:
        while not stop.wait(choice.uniform(*CUT_S)):
            with suppress(redis.RedisError):
                cuts.append(client.client_kill_filter(_type="pubsub"))


def _read(subscriber: notify.Subscriber, items: list[Any]) -> None:
    items.extend(subscriber)


def _number(item: Any) -> int:
    return item.contents if isinstance(item, notify.Event) else -1


def _delivery(published: Sequence[int], items: Sequence[Any], cuts: int) -> Delivery:
    """Each number must come once and in order. Numbers may be missing only where a gap says so."""
    faults, expected, gap = [], 0, False
    for item in items:
        if isinstance(item, notify.Gap):
            gap = True
            continue
        if item.contents != expected and not (gap and item.contents > expected):
            faults.append(f"{item.contents} came where {expected} was expected{' after a gap' if gap else ''}")
        expected, gap = item.contents + 1, False
    if published and expected <= published[-1]:
        faults.append(f"the last event is {expected - 1}, and {published[-1]} was published")
    gaps = [item for item in items if isinstance(item, notify.Gap)]
    return Delivery(len(published), len(items) - len(gaps), gaps, cuts, faults)
