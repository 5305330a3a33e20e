"""Stages that compare or gather items over time: one of several equal ones, and several in one list."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final

from notify.errors import ContentsError, WiringError
from notify.events import Gap
from notify.flows.filters.text import contents
from notify.flows.items import Items, Mark
from notify.flows.protocol import Stage
from notify.settings import MAX_LIFETIME_S, positive

__all__ = ["batch", "distinct"]

MAX_KEYS: Final = 100_000
"""The most keys that are remembered; the oldest is forgotten first."""


def distinct(key: Callable[[Any], Hashable] | None = None, window_s: float = 60.0) -> Callable[[Any], Any]:
    """Return a stage that hands on one of several items with the same key.

    Args:
        key: returns the key of an item; by default the item, of an event its contents.
        window_s: seconds after an item that was handed on, in which others with its key are not. At most 100,000 keys are remembered.

    Raises:
        SettingsError: ``window_s`` is not above 0.
    """
    return Distinct(key or contents, positive(window_s, "window_s", at_most=MAX_LIFETIME_S))


class Distinct:
    """The stage that `distinct` returns."""

    def __init__(self, key: Callable[[Any], Hashable], window_s: float) -> None:
        self._key, self._window_s = key, window_s
        self._seen: OrderedDict[Hashable, float] = OrderedDict()
        self.__name__ = "distinct"

    def __call__(self, item: Any) -> Any:
        key, now = self._key(item), time.monotonic()
        if not isinstance(key, Hashable):
            raise ContentsError(f"a {type(key).__name__} cannot be compared here: give key=, a function that returns text")
        while self._seen and (next(iter(self._seen.values())) <= now - self._window_s or len(self._seen) >= MAX_KEYS):
            self._seen.popitem(last=False)
        if key in self._seen:
            return None
        self._seen[key] = now
        return [item]


def batch(n: int, s: float | None = None) -> Stage:
    """Return a stage that hands on lists of items, each as one item.

    Args:
        n: the most items of a list.
        s: seconds after its first item when a list is handed on though it is not full; by default it waits until it is full, or until no
            item can come any more.

    Raises:
        WiringError: ``n`` is not a whole number above 0.
        SettingsError: ``s`` is not above 0.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise WiringError(f"a batch has {n!r} items: give a whole number above 0")
    return Batch(n, None if s is None else positive(s, "s", at_most=MAX_LIFETIME_S))


class Batch(Stage):
    """The stage that `batch` returns."""

    def __init__(self, most: int, wait_s: float | None) -> None:
        self._most, self._wait_s = most, wait_s
        self._items: list[Any] = []
        self._marks: list[Mark] = []
        self._due_at: float | None = None

    def take(self, item: Any) -> Items | None:
        if not self._items and self._wait_s is not None:
            self._due_at = time.monotonic() + self._wait_s
        self._items.append(item)
        return self._full() if len(self._items) >= self._most else None

    def take_gap(self, gap: Gap) -> Items:
        return Items([*self._full().items, gap])  # the items of a list lie on one side of a gap

    def mark(self, mark: Mark) -> Mark | None:
        if not self._items:
            return mark
        self._marks.append(mark)
        return None

    def due_at(self) -> float | None:
        return self._due_at

    def tick(self) -> Items:
        return self._full()

    def end(self) -> Items:
        return self._full()

    def held(self) -> int:
        return len(self._items)

    def _full(self) -> Items:
        """Return the present list, if it is not empty, and the marks that came meanwhile; begin a new one."""
        items, marks = self._items, self._marks
        self._items, self._marks, self._due_at = [], [], None
        return Items([*([items] if items else []), *marks])
