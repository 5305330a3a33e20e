"""The call of a job as JSON: encodes it, and decodes a plain call without parsing the rest of the job.

RQ stores a call in the field ``data`` as ``[function path, null, args, kwargs]``. JSON is readable in ``redis-cli``, and decoding it
executes nothing. The arguments come back as the annotations of the function say.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec

from notify.errors import ContentsError
from notify.server import LONGEST_TTL_S, whole
from notify.values import Json, Signature, encode_json
from workers.errors import JobArgumentsError, JobDefinitionError, JobResultError
from workers.jobs.definition import JobFunctions
from workers.jobs.fields import are_numbers
from workers.jobs.requirements import Requirements
from workers.rq import Retry
from workers.scripts import DEFAULT_TIMEOUT_S

__all__ = [
    "DecodedCall",
    "JsonSerializer",
    "begin",
    "call_in",
    "check_annotations",
    "encode_call",
    "encode_result",
    "ends_plainly",
    "execute",
    "execute_encoded",
    "function_of",
    "plain_call",
    "signature_of",
    "typed_result",
]

_SPECIAL_FIELDS: Final = (b"success_callback_name", b"webhooks", b"repeats_left", b"repeat_intervals", b"rate_limit_key")
"""Fields of a job whose success takes more than storing the result. RQ's own code runs such a job."""
_DEFAULT_TIMEOUT: Final = b"%d" % DEFAULT_TIMEOUT_S
_decoder: Final = msgspec.json.Decoder(tuple[str, None, list[Any], dict[str, Any]])


class JsonSerializer:
    """The serializer of our queues, jobs and workers. It never changes a value: `dumps` raises an error if JSON cannot hold it."""

    @staticmethod
    def dumps(value: object) -> bytes:
        """Encode a value. Raises `ContentsError` if JSON cannot hold it."""
        return encode_json(value, what="the call or the meta of the job")

    @staticmethod
    def loads(data: bytes) -> Json:
        """Decode a value."""
        value: Json = msgspec.json.decode(data)
        return value


class DecodedCall(NamedTuple):
    """A function, its arguments, and its timeout in seconds."""

    function: Callable[..., Any]
    args: list[Any]
    kwargs: dict[str, Any]
    timeout_s: int


def encode_call(path: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
    """Return the call of a function as RQ stores it in ``data``.

    Raises:
        ContentsError: JSON cannot hold an argument.
    """
    return encode_json([path, None, list(args), dict(kwargs)], what=path)


@cache
def signature_of(function: Callable[..., Any]) -> Signature:
    """Return the annotations of a function."""
    return Signature(function)


def check_annotations(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], data: bytes) -> None:
    """Raise `JobArgumentsError` if the arguments of a call, encoded as ``data``, would not fit the annotations of its function."""
    if not signature_of(function).accepts(args, kwargs):
        _, _, encoded_args, encoded_kwargs = _decoder.decode(data)
        _typed(function, encoded_args, encoded_kwargs)


def execute(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Call the function of a job with decoded arguments, in the types of its annotations, and return its result.

    Raises:
        JobArgumentsError: an argument does not fit its annotation; the function was not called.
    """
    value = begin(function, args, kwargs)
    return asyncio.run(value) if asyncio.iscoroutine(value) else value


def begin(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Call the function of a job as `execute` does, and return what it returns: of an ``async def`` that is a coroutine."""
    args, kwargs = _typed(function, args, kwargs)
    return function(*args, **kwargs)


def execute_encoded(function: Callable[..., Any], data: bytes) -> Any:
    """Call the function of a job with the arguments in ``data``, for RQ's code, and return its result.

    Raises:
        JobArgumentsError: an argument does not fit its annotation; the function was not called.
        JobResultError: JSON cannot hold the result. RQ would store a text in its place.
    """
    _, _, args, kwargs = _decoder.decode(data)
    value = execute(function, args, kwargs)
    if not isinstance(value, Retry):
        encode_result(function, value)
    return value


def typed_result(functions: JobFunctions, path: str | None, value: Any) -> Any:
    """Return a result that was read from JSON as the function's return annotation says, if the function is known; else as it is."""
    function = functions.get(path or "")
    return value if function is None else signature_of(function).result(value)


def encode_result(function: Callable[..., Any], value: object) -> bytes:
    """Return a result as JSON. Raises `JobResultError` if JSON cannot hold it; the message says which part."""
    try:
        return encode_json(value, what=f"the result of {function.__module__}.{function.__qualname__}")
    except Exception as exc:  # a ContentsError, or whatever an attribute of the user's class raises
        raise JobResultError(str(exc) or repr(exc)) from exc


def _typed(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
    try:
        return signature_of(function).arguments(args, kwargs)
    except ContentsError as exc:
        raise JobArgumentsError(str(exc)) from exc


def function_of(fields: Mapping[bytes, bytes], functions: JobFunctions) -> Callable[..., Any] | None:
    """Return the function that a job calls; ``None`` if its call cannot be decoded or names none of the functions."""
    try:
        return functions.get(_decoder.decode(fields[b"data"])[0])
    except (KeyError, msgspec.DecodeError, RecursionError):
        return None


def plain_call(fields: Mapping[bytes, bytes], functions: JobFunctions) -> DecodedCall | None:
    """Decode the call of a job from its hash.

    Args:
        fields: the hash.
        functions: the functions that may be called.

    Returns:
        The call; ``None`` if RQ's own code has to run the job, or to refuse it.
    """
    return call_in(fields, functions) if ends_plainly(fields) else None


def ends_plainly(fields: Mapping[bytes, bytes]) -> bool:
    """Return whether the success of a job takes no more than storing the result, so that RQ's code is not needed for it."""
    return not any(map(fields.get, _SPECIAL_FIELDS)) and fields.get(b"result_ttl") != b"0"


def call_in(fields: Mapping[bytes, bytes], functions: JobFunctions) -> DecodedCall | None:
    """Decode the call of a job from its hash; ``None`` if RQ's code has to refuse it."""
    try:
        if not are_numbers(fields):
            return None
        if b"needs" in fields or b"on_loss" in fields:
            Requirements.read(fields)
        path, _, args, kwargs = _decoder.decode(fields[b"data"])
        timeout_s = whole(fields.get(b"timeout") or _DEFAULT_TIMEOUT, None, least=-1, most=LONGEST_TTL_S)
        return None if timeout_s is None else DecodedCall(functions[path], args, kwargs, timeout_s)
    except (KeyError, ValueError, JobDefinitionError, msgspec.DecodeError, RecursionError):
        return None
