"""Overflow: the policies for a full queue of events, and a check of the policy and limit of a queue."""

from typing import Final, Literal, TypeAlias, get_args

from notify.errors import SettingsError

__all__ = ["LISTENER_POLICIES", "PUBLISHER_POLICIES", "WhenListenerFull", "WhenPublisherFull", "check_overflow"]

WhenPublisherFull: TypeAlias = Literal["raise", "block", "drop_oldest"]
"""The policies of a background publisher: ``raise`` an error, ``block`` until there is room, or drop the oldest event (``drop_oldest``)."""

WhenListenerFull: TypeAlias = Literal["block", "drop_oldest"]
"""The policies of a listener: ``block`` stops receiving until there is room; ``drop_oldest`` drops the oldest event."""

PUBLISHER_POLICIES: Final[tuple[str, ...]] = get_args(WhenPublisherFull)
LISTENER_POLICIES: Final[tuple[str, ...]] = get_args(WhenListenerFull)


def check_overflow(max_items: int, when_full: str, policies: tuple[str, ...]) -> None:
    """Raise `SettingsError` unless the limit of a queue is above 0 and its policy is one of ``policies``."""
    if max_items < 1:
        raise SettingsError(f"max_items is {max_items!r}: give a whole number above 0")
    if when_full not in policies:
        raise SettingsError(f"when_full is {when_full!r}: choose one of {', '.join(policies)}")
