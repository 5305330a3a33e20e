"""Framings: lines, JSON lines, and frames with their length before them.

The network, files, commands and serial lines of flows read and write by them.
They know neither sockets nor files, and keep no more than one frame that is not complete.
"""

from collections.abc import Callable, Mapping
from typing import Final

from notify.errors import WiringError
from notify.flows.framing.content import NonUtf8
from notify.flows.framing.lengths import LengthFraming
from notify.flows.framing.lines import JsonFraming, LineFraming
from notify.flows.framing.protocol import MAX_FRAME_BYTES, Decoder, Framing

__all__ = ["MAX_FRAME_BYTES", "Decoder", "Framing", "JsonFraming", "LengthFraming", "LineFraming", "NonUtf8", "framing_of"]

NAMED: Final[Mapping[object, Callable[[], Framing]]] = {"lines": LineFraming, "json": JsonFraming, "length": LengthFraming}


def framing_of(framing: object) -> Framing:
    """Return the framing for an argument: a `Framing`, or ``"lines"``, ``"json"`` or ``"length"``; raise `WiringError`."""
    if isinstance(framing, Framing):
        return framing
    if not isinstance(framing, str) or framing not in NAMED:
        raise WiringError(f"framing is {framing!r}: give 'lines', 'json', 'length', or an object such as LineFraming(max_bytes=1000)")
    return NAMED[framing]()
