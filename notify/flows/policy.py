"""What a flow does when a stage raises: raise the error, skip the item, or retry with a backoff."""

import random
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import msgspec

from notify.errors import WiringError
from notify.settings import MAX_TIMEOUT_S, positive

__all__ = ["OnError", "Policy", "policy_of", "retry"]

MAX_PAUSE_S: Final = 30.0


class Policy(msgspec.Struct, frozen=True):
    """What is done with an item when the stage raises. An outlet ``error`` that is linked takes the item in place of ``then``.

    Args:
        then: ``raise`` ends the flow with the error; ``skip`` logs it and counts the item as dropped.
        retries: how many further attempts come first.
        backoff_s: seconds before the first of them; each pause is twice the one before, at most 30 s, with a random part.
    """

    then: Literal["raise", "skip"] = "raise"
    retries: int = 0
    backoff_s: float = 0.1

    def pauses(self) -> Iterator[float]:
        """Yield the seconds to wait before each further attempt."""
        for attempt in range(self.retries):
            yield min(MAX_PAUSE_S, self.backoff_s * 2**attempt) * random.uniform(0.5, 1.0)


OnError: TypeAlias = Literal["raise", "skip"] | Policy
"""A policy: ``"raise"``, ``"skip"``, or what `retry` returns."""


def retry(n: int, backoff_s: float = 0.1, *, then: Literal["raise", "skip"] = "raise") -> Policy:
    """Return the policy to attempt an item again.

    Args:
        n: how many further attempts there are.
        backoff_s: seconds before the first of them; each pause is twice the one before, at most 30 s, with a random part.
        then: what is done after the last one.

    Raises:
        WiringError: ``n`` is not a whole number above 0, or ``then`` is unknown.
        SettingsError: the backoff is not above 0.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise WiringError(f"retry is for {n!r} attempts: give a whole number above 0, or on_error='raise'")
    return msgspec.structs.replace(policy_of(then), retries=n, backoff_s=positive(backoff_s, "backoff_s", at_most=MAX_TIMEOUT_S))


def policy_of(on_error: object) -> Policy:
    """Return the policy for an argument ``on_error``, or raise `WiringError`."""
    if isinstance(on_error, Policy):
        return on_error
    if on_error == "raise":
        return Policy("raise")
    if on_error == "skip":
        return Policy("skip")
    raise WiringError(f"on_error is {on_error!r}: give 'raise', 'skip' or retry(n)")
