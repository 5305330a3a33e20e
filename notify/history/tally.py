"""Sorts the counts of a history by names, in one pass."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from notify.history.fields import BUCKET, Words
from notify.history.histogram import Histogram
from notify.history.reader import History

__all__ = ["Tally", "tallies", "tally_of_all"]

K = TypeVar("K")


class Tally:
    """What one moment holds of one name, or of several names together."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._buckets: dict[str, list[tuple[str, int]]] = {}
        self.by_detail: dict[str, dict[str, int]] = {}
        """The numbers by what is counted, and by the detail."""

    def add(self, what: str, detail: str, number: int) -> None:
        """Add a count.

        Args:
            what: what is counted, one word, such as ``finished``.
            detail: the word behind the names: the bucket of a histogram, something else such as a reason, or empty.
            number: the count.
        """
        self._numbers[what] = self._numbers.get(what, 0) + number
        label, mark, edge = detail.partition(BUCKET)
        if mark:
            self._buckets.setdefault(label, []).append((edge, number))
        else:
            by_detail = self.by_detail.setdefault(what, {})
            by_detail[detail] = by_detail.get(detail, 0) + number

    def number(self, what: str) -> int:
        """Return how often something was counted."""
        return self._numbers.get(what, 0)

    def histogram(self, label: str) -> Histogram:
        """Return the histogram of a label, such as ``work``; its seconds are counted in microseconds as ``work_us``."""
        rows = self._buckets.get(label)
        return Histogram.of(rows, self.number(f"{label}_us") / 1e6) if rows else NO_HISTOGRAM


NO_HISTOGRAM: Final = Histogram()
NOTHING: Final = Tally()


def tallies(history: History, kind: str, names: int, key_of: Callable[[Words], K | None]) -> dict[K, list[Tally]]:
    """Return, for each key, a `Tally` for each moment of a history.

    Args:
        history: the history.
        kind: what to take, the first word of a field, such as ``job``.
        names: how many names such a field has.
        key_of: takes the names, and returns the key; ``None`` leaves the count out.
    """
    found: dict[Any, list[Tally]] = {}
    length = 2 + names
    for number, moment in enumerate(history.moments):
        for words, count in moment.counts.items():
            if words[0] != kind or not length <= len(words) <= length + 1:
                continue
            key = key_of(words[2:length])
            if key is None:
                continue
            row = found.get(key)
            if row is None:
                row = found[key] = [NOTHING] * len(history.moments)
            if row[number] is NOTHING:
                row[number] = Tally()
            row[number].add(words[1], words[length] if len(words) > length else "", count)
    return found


def tally_of_all(history: History, kind: str, *wanted: str | None) -> list[Tally]:
    """Return a `Tally` for each moment of what has these names; ``None`` stands for any name."""
    every = all(name is None for name in wanted)

    def key_of(found: Words) -> str | None:
        return "" if every or all(name is None or name == other for name, other in zip(wanted, found, strict=True)) else None

    return tallies(history, kind, len(wanted), key_of).get("", [NOTHING] * len(history.moments))
