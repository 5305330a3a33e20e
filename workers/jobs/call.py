"""The plain call that most jobs are, read without the rest of the job."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from workers.errors import JobDefinitionError
from workers.jobs.definition import JobFunctions
from workers.jobs.requirements import Requirements
from workers.scripts import DEFAULT_TIMEOUT_S

__all__ = ["DecodedCall", "function_of", "plain_call"]

_RARE: Final = (b"success_callback_name", b"webhooks", b"repeats_left", b"repeat_intervals")
"""What makes a success more than a result to keep."""
_NUMBERS: Final = (b"retries_left", b"number_of_retries", b"result_ttl", b"failure_ttl", b"ttl")
_data: Final = msgspec.json.Decoder(tuple[str, None, list[Any], dict[str, Any]])


class DecodedCall(NamedTuple):
    """A function, what to call it with, and how many seconds it may take."""

    function: Callable[..., Any]
    args: list[Any]
    kwargs: dict[str, Any]
    timeout_s: int


def function_of(fields: Mapping[bytes, bytes], functions: JobFunctions) -> Callable[..., Any] | None:
    """The function that a job calls, if that can be told and is one of those."""
    try:
        return functions.get(_data.decode(fields[b"data"])[0])
    except (KeyError, msgspec.DecodeError, RecursionError):
        return None


def plain_call(fields: Mapping[bytes, bytes], functions: JobFunctions) -> DecodedCall | None:
    """Read the call out of a job's hash.

    Args:
        fields: the hash.
        functions: what may be called.

    Returns:
        The call; or ``None`` if there is anything about the job that RQ's own code has to see to, refusing it included.
    """
    if any(map(fields.get, _RARE)) or fields.get(b"result_ttl") == b"0":
        return None
    try:
        for name in _NUMBERS:
            if name in fields:
                int(fields[name] or b"0")
        if b"needs" in fields or b"on_loss" in fields:
            Requirements.read(fields)
        path, _, args, kwargs = _data.decode(fields[b"data"])
        return DecodedCall(functions[path], args, kwargs, int(fields.get(b"timeout") or DEFAULT_TIMEOUT_S))
    except (KeyError, ValueError, JobDefinitionError, msgspec.DecodeError, RecursionError):
        return None
