"""Request and answer: the two messages between a caller and a service, and their JSON form."""

from typing import Any, Final

import msgspec

from notify.events import Failure, check_size, encode_json

__all__ = ["Answer", "Request", "encode_answer", "encode_failure", "encode_request"]


class Request(msgspec.Struct, frozen=True):
    """A request, as JSON in ``ns:requests:<member>``.

    Args:
        id: unique per caller; the answer carries it.
        method: the name of the method.
        args, kwargs: its arguments.
        caller: the answer goes to ``ns:answers:<caller>``.
        source: the name of the caller, for the log of the service.
    """

    id: str
    method: str
    args: list[Any]
    kwargs: dict[str, Any]
    caller: str
    source: str = ""


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer as JSON in ``ns:answers:<caller>``: the result, or the error that the method raised."""

    id: str
    result: Any = msgspec.UNSET
    error: Failure | None = None


_ENCODER: Final = msgspec.json.Encoder()


def encode_request(request: Request, *, max_bytes: int) -> bytes:
    """Return the JSON form of a request.

    Raises:
        ContentsError: an argument is not a JSON value; the message names its path.
        PayloadTooLargeError: the JSON has more than ``max_bytes``.
    """
    what = f"the request for {request.method!r}"
    return check_size(encode_json(msgspec.structs.asdict(request), what=what), what=what, max_bytes=max_bytes)


def encode_answer(request: Request, result: object, *, max_bytes: int) -> bytes:
    """Return the JSON form of the answer that carries a method's result; errors as for `encode_request`."""
    what = f"the result of {request.method!r}"
    return check_size(encode_json({"id": request.id, "result": result}, what=what), what=what, max_bytes=max_bytes)


def encode_failure(request: Request, error: BaseException, *, max_bytes: int) -> bytes:
    """Return the JSON form of the answer that carries an error. A very long message is cut."""
    failure = Failure.of(error)
    short = msgspec.structs.replace(failure, message=failure.message[: max_bytes // 8])
    return _ENCODER.encode(Answer(request.id, error=short))
