"""Strict JSON: encodes a value so that decoding returns an equal value, or raises an error that names the part that does not fit."""

import math
from typing import Final, TypeAlias

import msgspec

from notify.errors import ContentsError, PayloadTooLargeError

__all__ = ["Json", "check_json", "check_size", "encode_json", "size_problem"]

Json: TypeAlias = bool | int | float | str | list["Json"] | tuple["Json", ...] | dict[str, "Json"] | None
"""The values that the contents of an event and the fields of a state can have."""

_LEAST_INTEGER: Final = -(2**63)
_GREATEST_INTEGER: Final = 2**64 - 1


def encode_json(value: object, *, what: str) -> bytes:
    """Return ``value`` as JSON from which an equal value can be decoded (tuples become lists).

    Args:
        value: the value.
        what: the name of the value in errors.

    Raises:
        ContentsError: JSON cannot represent a part of the value; the message names the path to it.
    """
    try:
        check_json(value, what=what)
        return _ENCODER.encode(value)
    except (UnicodeEncodeError, RecursionError) as exc:
        raise ContentsError(f"{what} cannot be written as JSON: {exc}") from exc


def check_json(value: object, *, what: str) -> None:
    """Raise `ContentsError`, which names the path, if JSON cannot represent a part of a value. Arguments as for `encode_json`."""
    _check(value, what, "")


def size_problem(what: str, size: int, max_bytes: int) -> str:
    """Return the error message for a ``what`` that has ``size`` bytes, more than ``max_bytes``."""
    return (
        f"{what} has {size} bytes, the limit is {max_bytes}: "
        "send less (or a reference to it), or raise max_payload_bytes ($NOTIFY_MAX_PAYLOAD_BYTES)"
    )


def check_size(body: bytes, *, what: str, max_bytes: int) -> bytes:
    """Return ``body`` if it has at most ``max_bytes`` bytes, else raise `PayloadTooLargeError`; ``what`` is its name in the error."""
    if len(body) > max_bytes:
        raise PayloadTooLargeError(size_problem(what, len(body), max_bytes))
    return body


def _check(value: object, what: str, path: str) -> None:
    """Check a value and, recursively, its parts; ``path`` leads from the top to the value."""
    # msgspec would encode bytes, dates and sets too, as text and lists: decoding would not return an equal value.
    if value is None or isinstance(value, str | bool):
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise _refusal(what, path, f"the key {key!r} is not text")
            _check(inner, what, f"{path}.{key}" if path else key)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            _check(inner, what, f"{path}[{index}]")
    elif isinstance(value, int):
        if not _LEAST_INTEGER <= value <= _GREATEST_INTEGER:
            raise _refusal(what, path, "the integer has more than 64 bits; send it as text")
    elif not isinstance(value, float):
        raise _refusal(what, path, f"a {type(value).__name__} is not null, true, false, a number, text, a list or an object")
    elif not math.isfinite(value):
        raise _refusal(what, path, f"{value!r} is not a JSON number; send null or text")


def _refusal(what: str, path: str, problem: str) -> ContentsError:
    return ContentsError(f"{what} cannot be written as JSON: at {path or 'the top'}, {problem}")


def _as_builtin(value: object) -> str | int | float:
    """Return a value of a subclass of str, int or float as that built-in type. `_check` refuses all other types before."""
    if isinstance(value, str):
        return str.__str__(value)
    return float(value) if isinstance(value, float) else int(value)  # type: ignore[call-overload]  # see above


_ENCODER: Final = msgspec.json.Encoder(enc_hook=_as_builtin)
