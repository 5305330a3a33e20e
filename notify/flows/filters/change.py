"""The rule of the thermometer: a value is handed on when it differs enough from another one."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from notify.errors import ContentsError, SettingsError, WiringError
from notify.flows.filters.text import contents

__all__ = ["Against", "changed_by"]

Against: TypeAlias = Literal["published", "previous"]
"""The value with which a new one is compared: the last one that was handed on, or the one before, handed on or not."""


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
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or threshold != threshold:
        raise SettingsError(f"the threshold is {threshold!r}: give a number")
    if against not in ("published", "previous"):
        raise WiringError(f"against is {against!r}: choose 'published' or 'previous'")
    return ChangedBy(threshold, against, value or contents)


class ChangedBy:
    """The stage that `changed_by` returns."""

    def __init__(self, threshold: float, against: Against, value: Callable[[Any], Any]) -> None:
        self._threshold, self._against, self._value = threshold, against, value
        self._reference: float | None = None
        self.__name__ = "changed_by"

    def __call__(self, item: Any) -> Any:
        value = self._value(item)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ContentsError(f"the value of an item is {value!r}, and no number: give value=, a function of the item that returns one")
        known = self._reference
        has_changed = self._against == "published" if known is None else abs(value - known) > self._threshold
        if has_changed or self._against == "previous":
            self._reference = value
        return [item] if has_changed else None
