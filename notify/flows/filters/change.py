"""The rule of the thermometer as a stage."""

from collections.abc import Callable
from typing import Any

from notify.flows.filters.text import contents
from notify.values import Against, ChangedBy

__all__ = ["Against", "changed_by"]


def changed_by(threshold: float, *, against: Against = "published", value: Callable[[Any], float] | None = None) -> Callable[[Any], Any]:
    """Return a stage that hands on an item if its value differs by more than ``threshold`` from another one.

    Args:
        threshold: the difference that is not enough.
        against: the other value: that of the item ``published`` last, by this stage, or of the ``previous`` item, handed on or not. With
            ``published`` the first item is handed on. With ``previous`` it is not, and a slow drift never is.
        value: returns the value of an item; by default the item is the number, of an event its contents.

    Raises:
        SettingsError: the threshold is not a number.
        WiringError: ``against`` is neither of the two.
    """
    return ChangedBy(threshold, against, value or contents)
