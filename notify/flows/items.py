"""What travels through a flow besides plain items: several items at once, an item for one outlet, a failure, a mark."""

import threading
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, Literal

import msgspec

__all__ = ["DROPPED", "ERROR", "OUT", "Dropped", "Failed", "Items", "Mark", "To"]

OUT: Final = "out"
"""The outlet of plain results."""
ERROR: Final = "error"
"""The outlet of items that a stage could not take, each as a `Failed`. Every stage has it."""


class Dropped(Enum):
    """The type of `DROPPED`."""

    DROPPED = "dropped"


DROPPED: Final[Literal[Dropped.DROPPED]] = Dropped.DROPPED
"""A result of a stage that drops an item by a policy: it is counted as dropped. ``None`` is a result that is no item."""


class Items(msgspec.Struct, frozen=True):
    """Several results at once, in order. A source yields it to hand on many items in one step; a stage may return a list instead."""

    items: Sequence[Any]


class To(msgspec.Struct, frozen=True):
    """A result for one outlet of a stage with several."""

    outlet: str
    item: Any


class Failed(msgspec.Struct, frozen=True):
    """An item that a stage could not take; the items of the outlet ``error``.

    Args:
        item: the item as the stage got it; ``None`` if a source failed.
        error: the error of the last attempt.
        stage: the name of the stage. A stage that refuses an item returns a `Failed` in which it is empty; one with a name, which has come
            from another stage, is an item like any other.
    """

    item: Any
    error: Exception
    stage: str = ""


class Mark:
    """A position of a source on its way through the flow, behind all items that the source gave before.

    A stage passes a mark on once a copy has come by each link that leads from the source to it. When all ends of the flow have it, they
    have taken everything before it, and the position is committed. It is the barrier of Chandy and Lamport's snapshots.

    Args:
        position: the position; `Source.commit` gets it.
    """

    def __init__(self, position: Any) -> None:
        self.position = position
        self._lock = threading.Lock()
        self._copies: dict[str, int] = {}
        self._ends = 0
        self._commit: Callable[[Any], object] | None = None

    def depart(self, copies: Mapping[str, int], *, ends: int, commit: Callable[[Any], object]) -> None:
        """Begin the way.

        Args:
            copies: the name of each stage that the mark will reach → the number of copies that it will get.
            ends: how many of these stages hand on nothing.
            commit: called with the position when all ends have the mark.
        """
        self._copies, self._ends, self._commit = dict(copies), ends, commit

    def arrives(self, stage: str) -> bool:
        """Record a copy at a stage. Returns whether it is the last one."""
        with self._lock:
            self._copies[stage] -= 1
            return self._copies[stage] == 0

    def ends(self) -> None:
        """Record that an end of the flow has taken everything before the mark."""
        with self._lock:
            self._ends -= 1
            is_last = self._ends == 0
        if is_last and self._commit is not None:
            self._commit(self.position)
