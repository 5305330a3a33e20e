"""The encoder: writes a value as JSON from which it can be read again, or raises an error that names the part that JSON cannot hold.

Values that JSON does not know have a *form* in it. Whoever reads without a type gets the form; `Annotation` and message classes give the
value back.

=========================================  ====================================================================
value                                      form
=========================================  ====================================================================
null, true, false, text, a list, a dict    itself
a number                                   itself; integers of at most 64 bits, no NaN, no infinity
a tuple, a set, a frozenset                a list; that of a set has no order
datetime, date, time                       text as in ISO 8601: ``2026-11-27T10:00:00Z``, without a zone ``2026-11-27T10:00:00``
timedelta                                  a duration as in ISO 8601: ``P1DT7200S``
UUID, Decimal                              text
bytes, bytearray                           text in base64
a member of an enum                        its value
a dataclass, a msgspec Struct              an object with its fields
a key that is no text                      the text of an integer, or of one of the kinds above whose form is text
an object of a subclass                    that of its base
=========================================  ====================================================================
"""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, ClassVar, Final, Protocol, TypeAlias
from uuid import UUID

import msgspec

from notify.errors import ContentsError

__all__ = ["Encodable", "Json", "check_json", "encode_json", "encoding_problem", "json_text", "wire_encoder"]

Json: TypeAlias = bool | int | float | str | list["Json"] | tuple["Json", ...] | dict[str, "Json"] | None
"""The values that JSON itself knows: what a reader without a type gets."""


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


Encodable: TypeAlias = (
    bool
    | int
    | float
    | str
    | bytes
    | bytearray
    | date
    | time
    | timedelta
    | UUID
    | Decimal
    | Enum
    | msgspec.Struct
    | _Dataclass
    | Sequence["Encodable"]
    | Set["Encodable"]
    | Mapping[Any, "Encodable"]
    | None
)
"""The values that can be written. A type checker accepts a few more, such as a range, which `encode_json` refuses."""

_LEAST_INTEGER: Final = -(2**63)
_GREATEST_INTEGER: Final = 2**64 - 1
_KINDS: Final = (
    "JSON holds null, true, false, numbers, text, lists and dicts, and the forms of dates, times, UUIDs, decimals, bytes, enums, "
    "dataclasses, msgspec Structs, tuples and sets: send one of these"
)


def encode_json(value: object, *, what: str) -> bytes:
    """Return ``value`` as JSON; the forms are those of the table above.

    Args:
        value: the value.
        what: the name of the value in errors.

    Raises:
        ContentsError: JSON cannot hold a part of the value; the message names the path to it.
    """
    check_json(value, what=what)
    try:
        return _ENCODER.encode(value)
    except (UnicodeEncodeError, TypeError, RecursionError) as exc:
        raise encoding_problem(value, exc, what=what) from exc


def check_json(value: object, *, what: str) -> None:
    """Raise `ContentsError`, which names the path, if JSON cannot hold a part of a value. Text is checked when it is encoded."""
    try:
        if not _is_plain(value):
            _check(value, what, "")
    except RecursionError as exc:
        raise encoding_problem(value, exc, what=what) from exc


def encoding_problem(value: object, exc: Exception, *, what: str) -> ContentsError:
    """Return the error for a value on which the encoder failed after the check."""
    if isinstance(exc, RecursionError):
        return ContentsError(f"{what} cannot be written as JSON: it is nested too deeply, or contains itself; send it flat")
    try:
        _check(value, what, "")
    except ContentsError as found:  # it names the path
        return found
    return ContentsError(f"{what} cannot be written as JSON: {exc}")


def json_text(value: object) -> str:
    """Return a value as JSON for people, on one line; any value, also one that cannot be sent."""
    try:
        plain: Any = msgspec.to_builtins(value, str_keys=True, enc_hook=_readable)
    except (TypeError, ValueError, RecursionError):
        return repr(value)
    return json.dumps(plain, ensure_ascii=False)


def wire_encoder() -> msgspec.json.Encoder:
    """Return an encoder for messages that contain checked values."""
    return msgspec.json.Encoder(enc_hook=_of_subclass)


def _is_plain(value: object) -> bool:
    """Return whether a value consists of the types of JSON only, which most values do: then nothing else is to be checked."""
    kind = type(value)
    if kind in _ATOMS:
        return True
    if kind is dict:
        for key, inner in value.items():  # type: ignore[attr-defined]  # noqa: SIM110  # mypy ignores the test; all() takes longer
            if type(key) is not str or not (type(inner) in _ATOMS or _is_plain(inner)):
                return False
        return True
    if kind is list or kind is tuple:
        for inner in value:  # type: ignore[attr-defined]  # noqa: SIM110  # as above
            if not (type(inner) in _ATOMS or _is_plain(inner)):
                return False
        return True
    if kind is int:
        return _LEAST_INTEGER <= value <= _GREATEST_INTEGER  # type: ignore[operator]  # as above
    return kind is float and math.isfinite(value)  # type: ignore[arg-type]  # as above


def _check(value: object, what: str, path: str) -> None:
    """Check a value and, recursively, its parts; ``path`` leads from the top to the value."""
    if value is None or isinstance(value, bool | bytes | bytearray | timedelta | UUID | Decimal):
        return
    if isinstance(value, Enum):  # before int and str: its members may be that as well
        _check(value.value, what, path)
    elif isinstance(value, str):
        _check_text(value, what, path)
    elif isinstance(value, int | float):
        _check_number(value, what, path)
    elif isinstance(value, datetime | time):
        _check_zone(value, what, path)
    elif isinstance(value, dict):
        _check_keys(value, what, path)
        for key, inner in value.items():
            _check(inner, what, _joined(path, _key_text(key)))
    elif isinstance(value, list | tuple | set | frozenset):
        for index, inner in enumerate(value):
            _check(inner, what, f"{path}[{index}]")
    elif not isinstance(value, date):
        _check_fields(value, what, path)


def _check_number(value: float, what: str, path: str) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _refusal(what, path, f"{value!r} is not a JSON number; send None or text")
    elif not _LEAST_INTEGER <= value <= _GREATEST_INTEGER:
        raise _refusal(what, path, "the integer has more than 64 bits; send it as text")


def _check_text(value: str, what: str, path: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _refusal(
            what,
            path,
            f"{value[:40]!a} contains half of a surrogate pair, which is no text; send bytes, or encode it with errors='replace'",
        ) from None


def _check_zone(value: datetime | time, what: str, path: str) -> None:
    if value.tzinfo is None:
        return
    offset = value.utcoffset()
    if offset is None:
        raise _refusal(what, path, f"the offset of {value!r} from UTC depends on the date; send a datetime, or the name of the zone")
    if offset % timedelta(minutes=1):
        raise _refusal(what, path, f"the offset of {value!r} from UTC is no whole number of minutes; send it in UTC, .astimezone(UTC)")


def _check_keys(value: dict[Any, Any], what: str, path: str) -> None:
    for key in value:
        if isinstance(key, str):
            _check_text(key, what, path)
        elif isinstance(key, int) and not _LEAST_INTEGER <= key <= _GREATEST_INTEGER:
            raise _refusal(what, path, f"the key {key!r} has more than 64 bits; send it as text")
        elif not _is_key(key):
            raise _refusal(what, path, f"the key {key!r} is neither text nor an integer, and has no form that is text; send text as keys")
        elif isinstance(key, datetime | time):
            _check_zone(key, what, path)
    names = [key if type(key) is str else _key_text(key) for key in value]
    if len(set(names)) < len(names):
        name = next(name for name in names if names.count(name) > 1)
        raise _refusal(what, path, f"two keys would both be {name!r}; send text as keys")


def _is_key(key: object) -> bool:
    if isinstance(key, Enum):
        return isinstance(key.value, str | int) and not isinstance(key.value, bool)
    return not isinstance(key, bool) and isinstance(key, int | bytes | date | time | timedelta | UUID | Decimal)


def _key_text(key: object) -> str:
    if isinstance(key, str) and not isinstance(key, Enum):
        return key
    (text,) = msgspec.json.decode(_ENCODER.encode({key: None}))
    return str(text)


def _check_fields(value: object, what: str, path: str) -> None:
    """Check the fields of a dataclass or Struct; refuse anything else."""
    if isinstance(value, msgspec.Struct):
        names = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = zip(*[[field.name for field in dataclasses.fields(value)]] * 2, strict=True)
    else:
        kind = f"the class {value.__name__}" if isinstance(value, type) else f"a value of type {type(value).__name__}"
        raise _refusal(what, path, f"{kind} cannot be written; {_KINDS}")
    for name, encoded in names:
        inner = getattr(value, name, msgspec.UNSET)
        if inner is not msgspec.UNSET:
            _check(inner, what, _joined(path, encoded))


def _refusal(what: str, path: str, problem: str) -> ContentsError:
    return ContentsError(f"{what} cannot be written as JSON: at {path or 'the top'}, {problem}")


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _of_subclass(value: object) -> str | int | float | bytes:
    """Return the form of a value whose class is derived from one that the encoder knows. `_check` refuses all others before."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int | float):
        return float(value) if isinstance(value, float) else int(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, timedelta):
        text: str = msgspec.to_builtins(timedelta(value.days, value.seconds, value.microseconds))
        return text
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"a {type(value).__name__}")


def _readable(value: object) -> str | int | float | bytes:
    try:
        return _of_subclass(value)
    except TypeError:
        return repr(value)


_ATOMS: Final = frozenset({str, bool, type(None)})
_ENCODER: Final = wire_encoder()
