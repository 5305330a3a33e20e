"""The fast path of enqueueing: encodes a plain call of a marked function as the hash of a job.

RQ makes an ``rq.job.Job`` of each call first, which takes several times as long.
"""

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

from notify.errors import ContentsError
from notify.values import encode_json
from workers.errors import JobArgumentsError, JobTooLargeError
from workers.jobs import Requirements, check_annotations, encode_call
from workers.rq import get_call_string
from workers.scripts import FAILURE_TTL, NewJob, rq_now, too_large

__all__ = ["check_arguments", "check_call", "common_fields", "encode_job", "path_of"]


@cache
def path_of(func: Callable[..., Any]) -> str:
    """Return the dotted path of a function."""
    return f"{func.__module__}.{func.__qualname__}"


def common_fields(queue: str, timeout_s: int) -> dict[bytes, bytes]:
    """Return the fields that all plain calls have in common which are put on a queue now; see `encode_job`."""
    now = rq_now().encode()
    return {
        b"created_at": now,
        b"enqueued_at": now,
        b"origin": queue.encode(),
        b"timeout": b"%d" % timeout_s,
        b"failure_ttl": FAILURE_TTL,
        b"status": b"queued",
    }


def encode_job(
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    common: Mapping[bytes, bytes],
    requirements: Requirements,
    max_bytes: int,
) -> NewJob:
    """Return a new job with a random id, for `EnqueueScripts.enqueue`.

    Args:
        func, args, kwargs: the call.
        common: the `common_fields`.
        requirements: what the job needs.
        max_bytes: limit on the size of the encoded call.

    Raises:
        JobArgumentsError: the function or its annotations do not accept these arguments, or JSON cannot hold one of them.
        JobTooLargeError: the call has more than ``max_bytes``.
    """
    path = path_of(func)
    data = _encode_call(path, args, kwargs)
    if len(data) > max_bytes:
        raise JobTooLargeError(too_large(f"the call of {path}", len(data), max_bytes))
    check_call(func, args, kwargs, data)
    description = str(get_call_string(path, args, kwargs, max_length=75)).encode()  # type: ignore[arg-type]  # it changes no arguments
    fields = {**common, b"data": data, b"description": description}
    if not requirements.needs:
        return NewJob(_new_id(), fields, "new")
    fields.update(_requirement_fields(requirements))
    return NewJob(_new_id(), fields, "new", needs=_encoded_needs(requirements))


def _encode_call(path: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
    """Return a call as JSON. Raises `JobArgumentsError` if JSON cannot hold an argument; the message says where in the arguments."""
    try:
        return encode_call(path, args, kwargs)
    except ContentsError:
        check_arguments(path, args, kwargs)
        raise


def check_arguments(path: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise `JobArgumentsError` if JSON cannot hold an argument; the message says where in the arguments."""
    try:
        encode_json({"args": list(args), "kwargs": dict(kwargs)}, what=f"the call of {path}")
    except ContentsError as exc:
        raise JobArgumentsError(str(exc)) from exc


def check_call(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], data: bytes) -> None:
    """Raise `JobArgumentsError` unless the function and its annotations accept these arguments, which are encoded as ``data``."""
    if kwargs or len(args) not in _counts(func):
        try:
            _signature(func).bind(*args, **kwargs)
        except TypeError as exc:
            raise JobArgumentsError(f"{func.__module__}.{func.__qualname__} does not accept these arguments: {exc}") from exc
    check_annotations(func, args, kwargs, data)


@cache
def _signature(func: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(func)


@cache
def _counts(func: Callable[..., Any]) -> range:
    """Return how many arguments a function accepts without keywords. `inspect.Signature.bind` takes longer than the rest of the check."""
    parameters = _signature(func).parameters.values()
    by_position = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    if any(each.kind is each.KEYWORD_ONLY and each.default is each.empty for each in parameters):
        return range(0)
    required = sum(each.default is each.empty for each in by_position)
    most = sys.maxsize - 1 if any(each.kind is each.VAR_POSITIONAL for each in parameters) else len(by_position)
    return range(required, most + 1)


def _new_id() -> str:
    """Return a random UUID of version 4, as RQ's ids are. ``str(uuid4())`` takes three times as long."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{'89ab'[int(digits[16], 16) & 3]}{digits[17:20]}-{digits[20:]}"


@cache
def _requirement_fields(requirements: Requirements) -> dict[bytes, bytes]:
    return {name.encode(): str(value).encode() for name, value in requirements.fields().items()}


@cache
def _encoded_needs(requirements: Requirements) -> bytes:
    return msgspec.json.encode(dict.fromkeys(sorted(requirements.needs), 0)) if requirements.needs else b""
