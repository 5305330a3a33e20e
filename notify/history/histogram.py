"""Histograms of seconds with fixed buckets, as they are counted in Redis and shown by Prometheus."""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from math import inf
from typing import Final

import msgspec

__all__ = ["EDGES_S", "Histogram", "edge_of", "edge_text"]

EDGES_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, inf)
"""The upper edges of the buckets, in seconds. A bucket holds what is above the edge before it, and not above its own."""


def edge_text(edge_s: float) -> str:
    """Return an edge as it stands in a field: ``0.001``, ``30`` or ``inf``."""
    return f"{edge_s:g}"


NUMBERS: Final = {edge_text(edge_s): number for number, edge_s in enumerate(EDGES_S)}


def edge_of(seconds: float) -> str:
    """Return the edge of the bucket that holds a number of seconds, as `edge_text`."""
    return edge_text(EDGES_S[bisect_left(EDGES_S, seconds)])


class Histogram(msgspec.Struct, frozen=True):
    """How many times something took how long.

    Args:
        counts: the number in each bucket, in the order of `EDGES_S`; each counts in one bucket only.
        sum_s: the seconds of all together.
    """

    counts: tuple[int, ...] = (0,) * len(EDGES_S)
    sum_s: float = 0.0

    @classmethod
    def of(cls, counts: Iterable[tuple[str, int]], sum_s: float) -> "Histogram":
        """Return the histogram of pairs of an edge, as in a field, and a number. An edge that is none is left out."""
        row = [0] * len(EDGES_S)
        for edge, count in counts:
            if edge in NUMBERS:
                row[NUMBERS[edge]] += count
        return cls(tuple(row), sum_s)

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.counts)

    @property
    def mean_s(self) -> float | None:
        """The mean in seconds; ``None`` if there are none."""
        return self.sum_s / self.count if self.count else None

    @property
    def cumulative(self) -> tuple[int, ...]:
        """How many are not above each edge, as Prometheus counts."""
        return tuple(accumulate(self.counts))

    def percentile_s(self, percent: float) -> float | None:
        """Return the seconds that so many percent do not exceed, from 0 to 100; ``None`` if there are none.

        Within a bucket the seconds are taken to be spread evenly. Above the last finite edge, that edge is the answer.
        """
        if not self.count:
            return None
        wanted, before = max(0.0, min(100.0, percent)) / 100 * self.count, 0
        for number, count in enumerate(self.counts):
            if count and before + count >= wanted:
                low = EDGES_S[number - 1] if number else 0.0
                high = EDGES_S[number]
                return low if high == inf else low + (high - low) * max(0.0, wanted - before) / count
            before += count
        return EDGES_S[-2]

    def __add__(self, other: "Histogram") -> "Histogram":
        return Histogram(tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)), self.sum_s + other.sum_s)
