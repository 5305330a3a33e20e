"""The rule of the thermometer: a value is handed on when it differs enough from another one."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from notify.errors import ContentsError, SettingsError, WiringError

__all__ = ["Against", "ChangedBy"]

Against: TypeAlias = Literal["published", "previous"]
"""The value with which a new one is compared: the last one that was handed on, or the one before, handed on or not."""


class ChangedBy:
    """A function that returns an item in a list if its value differs enough from another one, else ``None``.

    Args:
        threshold: the difference that is not enough.
        against: the other value: that of the item ``published`` last, or of the ``previous`` item, handed on or not.
        value: returns the value of an item; by default the item is the value.

    Raises:
        SettingsError: the threshold is not a number.
        WiringError: ``against`` is neither of the two.
    """

    def __init__(self, threshold: float, against: Against, value: Callable[[Any], Any] | None = None) -> None:
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or threshold != threshold:
            raise SettingsError(f"the threshold is {threshold!r}: give a number")
        if against not in ("published", "previous"):
            raise WiringError(f"against is {against!r}: choose 'published' or 'previous'")
        self._threshold, self._against, self._value = threshold, against, value
        self._reference: float | None = None
        self.__name__ = "changed_by"

    def __call__(self, item: Any) -> list[Any] | None:
        """Compare the value of an item, and remember it."""
        value = item if self._value is None else self._value(item)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ContentsError(f"the value of an item is {value!r}, and no number: give value=, a function of the item that returns one")
        known = self._reference
        has_changed = self._against == "published" if known is None else abs(value - known) > self._threshold
        if has_changed or self._against == "previous":
            self._reference = value
        return [item] if has_changed else None
