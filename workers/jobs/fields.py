"""Reads the hash of a job in which another program, or a person, may have written anything: RQ's code parses it only afterwards."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from notify.server import LONGEST_TTL_S, whole
from workers.errors import JobDefinitionError
from workers.jobs.requirements import Requirements
from workers.rq import JobStatus, str_to_date
from workers.scripts import unpacked

__all__ = ["JobFields", "are_numbers", "is_pickled", "read_call", "read_job_fields"]

_CALL: Final = msgspec.json.Decoder(tuple[str, Any, list[Any], dict[str, Any]])
_IDS: Final = msgspec.json.Decoder(list[str])
_INTERVALS: Final = msgspec.json.Decoder(list[Annotated[int, msgspec.Meta(ge=0, le=LONGEST_TTL_S)]])
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])

_TIMEOUT: Final = re.compile(rb"(?i:[0-9]{1,7}[dhms])")
"""RQ also takes a timeout such as ``1h``."""
_PICKLE_PROTOCOLS: Final = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_PLAIN_NUMBERS: Final = (b"retries_left", b"number_of_retries", b"result_ttl", b"failure_ttl", b"ttl")
_SHOWN_BYTES: Final = 40


class JobFields(NamedTuple):
    """The hash of a job without the fields that cannot be read.

    Args:
        fields: the readable fields; the call in ``data`` is unpacked, and empty if there is none or it is too large.
        problem: why no worker can run the job: the first field that cannot be read, and what it should be; empty if all can be.
        is_foreign: whether plain RQ pickled the call. It is never unpickled here.
    """

    fields: dict[bytes, bytes]
    problem: str
    is_foreign: bool


def read_job_fields(raw: Mapping[bytes, bytes], *, max_bytes: int) -> JobFields:
    """Return the readable fields of a job. ``max_bytes`` limits its call, and its error text, after they are unpacked."""
    fields, problems = {}, []
    for name, value in raw.items():
        reader = _READERS.get(name)
        if reader is None or not value:
            if (value or reader is None) and name.isascii():
                fields[name] = value
            continue
        try:
            fields[name] = reader.read(value)
        except (ValueError, JobDefinitionError, msgspec.DecodeError, RecursionError, OverflowError):
            problems.append(f"its field {name.decode()} is {_shown(value)}, not {reader.wanted}")
    problem, is_foreign = _read_call(raw, fields, max_bytes=max_bytes)
    if b"exc_info" in fields:
        fields[b"exc_info"] = _text_of(fields[b"exc_info"], max_bytes=max_bytes)
    return JobFields(fields, problem or (problems[0] if problems else ""), is_foreign)


def are_numbers(fields: Mapping[bytes, bytes]) -> bool:
    """Return whether the fields that limit the runs and the lifetimes of a job are whole numbers within their bounds."""
    return all(not fields.get(name) or whole(fields[name], None, least=-1, most=LONGEST_TTL_S) is not None for name in _PLAIN_NUMBERS)


def is_pickled(data: bytes) -> bool:
    """Return whether an unpacked call begins as a pickle does, which plain RQ writes by default."""
    return data.startswith(_PICKLE_PROTOCOLS)


def read_call(data: bytes) -> tuple[str, Any, list[Any], dict[str, Any]]:
    """Return function, object, arguments and keyword arguments of an unpacked call.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is not the JSON of these.
    """
    return _CALL.decode(data)


def _read_call(raw: Mapping[bytes, bytes], fields: dict[bytes, bytes], *, max_bytes: int) -> tuple[str, bool]:
    """Unpack the field ``data``. Returns why it is no call, or an empty text, and whether it is pickled."""
    fields[b"data"] = b""
    if not raw.get(b"data"):
        return "it has no call: its field data is missing or empty", False
    try:
        data = unpacked(raw[b"data"], max_bytes=max_bytes)
    except ValueError as exc:
        return str(exc), False
    fields[b"data"] = data
    if is_pickled(data):
        return "plain RQ pickled its call, which is never unpickled here: leave it to RQ's own workers (--skip-foreign)", True
    try:
        read_call(data)
    except (ValueError, msgspec.DecodeError, RecursionError) as exc:
        return f"its call cannot be read ({exc}): it must be the JSON of [function, null, args, kwargs]", False
    return "", False


def _text_of(error: bytes, *, max_bytes: int) -> bytes:
    """Return an error text of RQ, which RQ compresses."""
    try:
        return unpacked(error, max_bytes=max_bytes).decode(errors="replace").encode()
    except ValueError:
        return b"(the error text is above the payload limit)"


def _shown(value: bytes) -> str:
    return repr(value[:_SHOWN_BYTES])[1:] + ("..." if len(value) > _SHOWN_BYTES else "")


class _Reader(NamedTuple):
    """Checks one field: ``read`` returns it, or raises an error; ``wanted`` is what it should be, in words."""

    read: Callable[[bytes], bytes]
    wanted: str


def _checked(check: Callable[[bytes], object]) -> Callable[[bytes], bytes]:
    """Return a reader that returns the field as it is, if ``check`` raises no error."""

    def read(value: bytes) -> bytes:
        check(value)
        return value

    return read


def _number(least: int, most: int) -> _Reader:
    def read(value: bytes) -> bytes:
        if whole(value, None, least=least, most=most) is None:
            raise ValueError
        return value

    return _Reader(read, f"a whole number from {least} to {most}")


def _read_timeout(value: bytes) -> bytes:
    if _TIMEOUT.fullmatch(value) is None:
        _LIFETIME.read(value)
    return value


_LIFETIME: Final = _number(-1, LONGEST_TTL_S)
_COUNT: Final = _number(-LONGEST_TTL_S, LONGEST_TTL_S)
_FLAG: Final = _number(0, 1)
_TIME: Final = _Reader(_checked(str_to_date), "a time such as 2026-01-01T00:00:00Z")
_TEXT: Final = _Reader(_checked(bytes.decode), "text in UTF-8")
_LIST_OF_SECONDS: Final = _Reader(_checked(_INTERVALS.decode), "a JSON list of seconds")

_READERS: Final[dict[bytes, _Reader]] = {
    **dict.fromkeys((b"result_ttl", b"failure_ttl", b"ttl"), _LIFETIME),
    b"timeout": _Reader(_read_timeout, _LIFETIME.wanted),
    **dict.fromkeys((b"success_callback_timeout", b"failure_callback_timeout", b"stopped_callback_timeout"), _LIFETIME),
    **dict.fromkeys((b"number_of_retries", b"retries_left", b"retries", b"repeats_left"), _COUNT),
    **dict.fromkeys((b"allow_dependency_failures", b"enqueue_at_front", b"enqueue_at_front_on_retry"), _FLAG),
    **dict.fromkeys((b"created_at", b"enqueued_at", b"started_at", b"ended_at", b"last_heartbeat"), _TIME),
    **dict.fromkeys((b"origin", b"worker_name", b"group_id", b"dependency_id", b"held"), _TEXT),
    **dict.fromkeys((b"success_callback_name", b"failure_callback_name", b"stopped_callback_name"), _TEXT),
    b"dependency_ids": _Reader(_checked(_IDS.decode), "a JSON list of ids"),
    **dict.fromkeys((b"retry_intervals", b"repeat_intervals"), _LIST_OF_SECONDS),
    b"meta": _Reader(_checked(_OBJECT.decode), "a JSON object"),
    b"description": _Reader(lambda value: value.decode(errors="replace").encode(), "text"),
    b"status": _Reader(_checked(lambda value: JobStatus(value.decode())), "a status of RQ"),
    **{
        name: _Reader(_checked(lambda value, name=name: Requirements.read({name: value})), wanted)  # type: ignore[misc]  # the default of a lambda
        for name, wanted in (
            (b"needs", "a JSON object of services and whole numbers"),
            (b"on_loss", "a policy"),
            (b"max_hold_ms", "whole milliseconds"),
            (b"grace_ms", "whole milliseconds"),
        )
    },
}
