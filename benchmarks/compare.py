"""Two sides in alternating rounds, and the ratio of their medians."""

import statistics
from collections.abc import Callable

import msgspec

__all__ = ["Comparison", "compare"]


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
    rates = [(ours(), peer()) for _ in range(rounds)]
    return Comparison(work, peer_name, statistics.median(r[0] for r in rates), statistics.median(r[1] for r in rates))
