"""The call of a job as JSON: encodes it, and decodes a plain call without parsing the rest of the job.

RQ stores a call in the field ``data`` as ``[function path, null, args, kwargs]``. JSON is readable in ``redis-cli``, and decoding it
executes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from notify.events import Json, encode_json
from notify.server import LONGEST_TTL_S, whole
from workers.errors import JobDefinitionError
from workers.jobs.definition import JobFunctions
from workers.jobs.fields import are_numbers
from workers.jobs.requirements import Requirements
from workers.scripts import DEFAULT_TIMEOUT_S

__all__ = ["DecodedCall", "JsonSerializer", "encode_call", "function_of", "plain_call"]

_SPECIAL_FIELDS: Final = (b"success_callback_name", b"webhooks", b"repeats_left", b"repeat_intervals")
"""Fields of a job whose success takes more than storing the result. RQ's own code runs such a job."""
_DEFAULT_TIMEOUT: Final = b"%d" % DEFAULT_TIMEOUT_S
_decoder: Final = msgspec.json.Decoder(tuple[str, None, list[Any], dict[str, Any]])


class JsonSerializer:
    """The serializer of our queues, jobs and workers. It never changes a value: `dumps` raises an error if JSON cannot hold it."""

    @staticmethod
    def dumps(value: object) -> bytes:
        """Encode a value. Raises `ContentsError` if JSON cannot hold it."""
        return encode_json(value, what="the job")

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
    if any(map(fields.get, _SPECIAL_FIELDS)) or fields.get(b"result_ttl") == b"0":
        return None
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
