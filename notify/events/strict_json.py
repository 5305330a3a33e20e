"""JSON that gives back what was put in, or an error that says where it could not."""

import math
from typing import Final, TypeAlias

import msgspec

from notify.errors import ContentsError

__all__ = ["Json", "check_json", "encode_json"]

Json: TypeAlias = bool | int | float | str | list["Json"] | tuple["Json", ...] | dict[str, "Json"] | None
"""What an event's contents and a state's values can be."""

_LEAST_INTEGER: Final = -(2**63)
_GREATEST_INTEGER: Final = 2**64 - 1


def encode_json(value: object, *, what: str) -> bytes:
    """Return ``value`` as strict JSON: what is decoded equals what was encoded (tuples become lists).

    Args:
        value: the value.
        what: how an error calls it.

    Raises:
        ContentsError: it holds something that JSON cannot; the message names the path within.
    """
    try:
        check_json(value, what=what)
        return _ENCODER.encode(value)
    except (UnicodeEncodeError, RecursionError) as exc:
        raise ContentsError(f"{what} cannot be written as JSON: {exc}") from exc


def check_json(value: object, *, what: str) -> None:
    """Raise `ContentsError`, naming the path, if JSON cannot hold the value and give it back."""
    _check(value, what, "")


def _check(value: object, what: str, path: str) -> None:
    # msgspec would take bytes, dates and sets too, and give something else back: they are refused here.
    if value is None or isinstance(value, str | bool):
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise _refusal(what, path, f"the key {key!r} is no text")
            _check(inner, what, f"{path}.{key}" if path else key)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            _check(inner, what, f"{path}[{index}]")
    elif isinstance(value, int):
        if not _LEAST_INTEGER <= value <= _GREATEST_INTEGER:
            raise _refusal(what, path, "the integer has more than 64 bits; send it as text")
    elif not isinstance(value, float):
        raise _refusal(what, path, f"a {type(value).__name__} is none of null, true, false, number, text, list and object")
    elif not math.isfinite(value):
        raise _refusal(what, path, f"{value!r} is no JSON number; send null or text")


def _refusal(what: str, path: str, problem: str) -> ContentsError:
    return ContentsError(f"{what} cannot be written as JSON: at {path or 'the top'}, {problem}")


def _as_builtin(value: object) -> str | int | float:
    """The plain value of a kind of text or number; `_check` lets nothing else through."""
    if isinstance(value, str):
        return str.__str__(value)
    return float(value) if isinstance(value, float) else int(value)  # type: ignore[call-overload]  # see above


_ENCODER: Final = msgspec.json.Encoder(enc_hook=_as_builtin)
