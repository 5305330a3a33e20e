"""The demultiplexer: sorts items to the outlets that a classifier names."""

from collections.abc import Callable, Collection
from typing import Any

from notify.errors import UnroutedError, WiringError
from notify.flows.items import ERROR, Failed, To
from notify.flows.protocol import Stage

__all__ = ["demux"]


def demux(classify: Callable[[Any], object], *, outlets: Collection[str], otherwise: str = ERROR) -> Stage:
    """Return a stage that hands each item to the outlet that ``classify`` names.

    Args:
        classify: returns the name of an outlet for an item. Anything else that it returns leads to ``otherwise``.
        outlets: the names of the outlets, each of which has to be linked.
        otherwise: the outlet for items of no class: one of ``outlets``, or ``error``. There such an item is a `Failed` with an
            `UnroutedError`; if ``error`` is linked to nothing, the policy of the stage applies. No item is thrown away.

    Raises:
        WiringError: there is no outlet, or ``otherwise`` is none of them.
    """
    names = () if isinstance(outlets, str) else tuple(outlets)
    if not names or ERROR in names or not all(isinstance(name, str) for name in names):
        raise WiringError(f"the outlets of a demultiplexer are {outlets!r}: give a list of names, 'error' not among them")
    if otherwise not in (*names, ERROR):
        raise WiringError(f"otherwise is {otherwise!r}: give 'error', or one of the outlets {', '.join(map(repr, names))}")
    return Demultiplexer(classify, names, otherwise)


class Demultiplexer(Stage):
    """The stage that `demux` returns, which has the description."""

    def __init__(self, classify: Callable[[Any], object], outlets: tuple[str, ...], otherwise: str) -> None:
        self.outlets = outlets
        self._classify, self._otherwise = classify, otherwise

    def take(self, item: Any) -> To | Failed:
        name = self._classify(item)
        if isinstance(name, str) and name in self.outlets:
            return To(name, item)
        if self._otherwise != ERROR:
            return To(self._otherwise, item)
        return Failed(item, UnroutedError(f"the class of an item is {name!r}, and the outlets are {', '.join(map(repr, self.outlets))}"))
