"""What the doctor reports: one finding for each thing that was looked at."""

from typing import Literal

import msgspec

__all__ = ["Finding", "Level", "error", "note", "ok", "warning"]

Level = Literal["ok", "note", "warning", "error"]
"""``ok``: nothing to do. ``note``: it could not be looked at. ``warning``: it works, but may fail. ``error``: something is wrong."""


class Finding(msgspec.Struct, frozen=True):
    """One finding.

    Args:
        name: what was looked at, such as ``persistence``.
        level: how bad it is.
        what: what was found, in one sentence.
        remedy: what to do about it; empty if there is nothing to do.
    """

    name: str
    level: Level
    what: str
    remedy: str = ""


def ok(name: str, what: str) -> Finding:
    """Return a finding of a thing that is as it should be."""
    return Finding(name, "ok", what)


def note(name: str, what: str, remedy: str = "") -> Finding:
    """Return a finding of a thing that could not be looked at."""
    return Finding(name, "note", what, remedy)


def warning(name: str, what: str, remedy: str) -> Finding:
    """Return a finding of a thing that works and may fail."""
    return Finding(name, "warning", what, remedy)


def error(name: str, what: str, remedy: str) -> Finding:
    """Return a finding of a thing that is wrong."""
    return Finding(name, "error", what, remedy)
