"""Reads whole numbers from fields of Redis, in which another program may have written anything. ``parts/whole.lua`` does it in scripts."""

import re
from typing import Final, TypeVar

__all__ = ["LARGEST", "LONGEST_TTL_S", "whole"]

LARGEST: Final = 2**53 - 1
"""The largest number that Lua holds exactly."""
LONGEST_TTL_S: Final = 2**31 - 1
"""The longest timeout or lifetime of a job and of its result, in seconds; 68 years."""

_WHOLE: Final = re.compile(rb"-?[0-9]{1,16}")

D = TypeVar("D")


def whole(value: bytes | None, default: D, *, least: int = 0, most: int = LARGEST) -> int | D:
    """Return the whole number that a field holds, as our programs write it: digits, with a minus in front.

    `int` is not for fields: it takes ``1_000``, spaces and a number of 400 digits, which fits nowhere.

    Args:
        value: the field; ``None`` if it is missing.
        default: what counts instead if the field holds no such number.
        least, most: the bounds; a number outside counts as none.
    """
    if value is None or _WHOLE.fullmatch(value) is None:
        return default
    number = int(value)
    return number if least <= number <= most else default
