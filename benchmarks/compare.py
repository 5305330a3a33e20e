"""Runs two sides in alternating rounds, and returns the ratio of their medians."""

import statistics
from collections.abc import Callable, Mapping

import msgspec

__all__ = ["Comparison", "compare", "compare_many"]


class Comparison(msgspec.Struct, frozen=True):
    """Median rates of ours and the peer's, per second, and the ratio of the two."""

    work: str
    peer: str
    ours_per_s: float
    peer_per_s: float

    @property
    def ratio(self) -> float:
        return self.ours_per_s / self.peer_per_s

    def __str__(self) -> str:
        return f"{self.work:<34} ours {self.ours_per_s:>9,.0f}/s   {self.peer} {self.peer_per_s:>9,.0f}/s   ratio {self.ratio:.2f}"


def compare(work: str, ours: Callable[[], float], peer: Callable[[], float], *, peer_name: str, rounds: int = 5) -> Comparison:
    """Run both sides ``rounds`` times in turn; each returns the rate of its round, per second."""
    return compare_many(work, ours, {peer_name: peer}, rounds=rounds)[0]


def compare_many(work: str, ours: Callable[[], float], peers: Mapping[str, Callable[[], float]], *, rounds: int = 5) -> list[Comparison]:
    """As `compare`, with several peers in each round; the fastest of them comes first."""
    rates = [(ours(), [peer() for peer in peers.values()]) for _ in range(rounds)]
    own = statistics.median(rate for rate, _ in rates)
    found = [Comparison(work, name, own, statistics.median(others[i] for _, others in rates)) for i, name in enumerate(peers)]
    return sorted(found, key=lambda comparison: comparison.ratio)
