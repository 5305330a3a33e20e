"""The contents of frames: text, bytes and JSON, and what is done with bytes that are no UTF-8."""

import base64
import binascii
from typing import Any, Literal, TypeAlias

import msgspec

from notify.errors import ContentsError, FrameError, WiringError
from notify.flows.items import Failed
from notify.values import encode_json

__all__ = ["NonUtf8", "as_bytes", "as_json", "from_json", "half", "one_of", "text_of"]

NonUtf8: TypeAlias = Literal["replace", "refuse", "base64"]
"""What is done with bytes that are no UTF-8: U+FFFD in place of each, an error, or the item ``{"base64": "..."}``."""


def one_of(name: str, value: Any, *allowed: Any) -> Any:
    """Return an argument that has one of the allowed values, or raise `WiringError`."""
    if value not in allowed or isinstance(value, bool):
        raise WiringError(f"{name} is {value!r}: give {', '.join(map(repr, allowed))}")
    return value


def text_of(raw: bytes, non_utf8: NonUtf8) -> Any:
    """Return the item for the bytes of a text."""
    try:
        return raw.decode()
    except UnicodeDecodeError as exc:
        if non_utf8 == "base64":
            return {"base64": base64.b64encode(raw).decode()}
        if non_utf8 == "replace":
            return raw.decode(errors="replace")
        return Failed(raw, FrameError(f"byte {exc.start} is no UTF-8: send UTF-8, or choose non_utf8='replace' or 'base64'"))


def from_json(line: bytes) -> Any:
    """Return the value of a line, or the failure."""
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        return Failed(line, FrameError(f"a line is no JSON: {exc}"))
    return value if value is not None else Failed(line, FrameError("null is no item: send an object, or a list"))


def as_bytes(item: Any, non_utf8: NonUtf8) -> bytes:
    """Return the bytes of an item: of a text, bytes as they are, what was kept as base64, or else JSON; raise `FrameError`."""
    if isinstance(item, str):
        try:
            return item.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as exc:
            raise FrameError(f"{item!r:.200} is no text that has bytes: {exc.reason}") from exc
    if isinstance(item, bytes):
        return item
    if non_utf8 == "base64" and isinstance(item, dict) and item.keys() == {"base64"}:
        try:
            return base64.b64decode(item["base64"], validate=True)
        except (TypeError, ValueError, binascii.Error):
            return as_json(item)
    return as_json(item)


def as_json(item: Any) -> bytes:
    """Return an item as JSON, or raise `FrameError`."""
    try:
        return encode_json(item, what="the item")
    except ContentsError as exc:
        raise FrameError(str(exc)) from exc


def half(rest: bytes) -> Failed:
    """Return the failure for a frame that was not complete when its stream ended."""
    return Failed(rest, FrameError(f"the stream ended within a frame, after {len(rest)} bytes of it: end each frame before closing"))
