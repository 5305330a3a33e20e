"""Request and answer: the messages between a caller and a service, and their JSON form."""

from typing import Any, Final

import msgspec

from notify.events import Failure
from notify.values import check_size, encode_json

__all__ = ["Answer", "Request", "encode_answer", "encode_failure", "encode_request"]


class Request(msgspec.Struct, frozen=True):
    """A request, as JSON in ``ns:requests:<member>``.

    Args:
        id: unique; the answer has the same id.
        method: the name of the method.
        args, kwargs: the arguments of the method.
        caller: the id of the client that calls; the answer goes to ``ns:answers:<caller>``.
        source: the name of the caller, for the log of the service.
        traceparent, tracestate: the span of the caller, by W3C; ``None`` if there is none.
    """

    id: str
    method: str
    args: list[Any]
    kwargs: dict[str, Any]
    caller: str
    source: str = ""
    traceparent: str | None = None
    tracestate: str | None = None


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer, as JSON in ``ns:answers:<caller>``: the result of the method, or the error that it raised.

    Args:
        id: the id of the request.
        result: the result, any JSON value; unset if there is an error.
        error: the error; ``None`` if there is a result.
    """

    id: str
    result: Any = msgspec.UNSET
    error: Failure | None = None


_ENCODER: Final = msgspec.json.Encoder()


def encode_request(request: Request, *, max_bytes: int) -> bytes:
    """Return the JSON form of a request.

    Raises:
        ContentsError: JSON cannot hold an argument; the message names the path to it.
        PayloadTooLargeError: the JSON has more than ``max_bytes`` bytes.
    """
    what = f"the request for {request.method!r}"
    fields = msgspec.structs.asdict(request)
    for name in ("traceparent", "tracestate"):
        if fields[name] is None:
            del fields[name]
    return check_size(encode_json(fields, what=what), what=what, max_bytes=max_bytes)


def encode_answer(request: Request, result: object, *, max_bytes: int) -> bytes:
    """Return the JSON form of an answer with the result of the method. Raises the same errors as `encode_request`."""
    what = f"the result of {request.method!r}"
    return check_size(encode_json({"id": request.id, "result": result}, what=what), what=what, max_bytes=max_bytes)


def encode_failure(request: Request, error: BaseException, *, max_bytes: int) -> bytes:
    """Return the JSON form of an answer with an error. A message of more than ``max_bytes // 8`` characters is cut."""
    failure = Failure.of(error)
    short = msgspec.structs.replace(failure, message=failure.message[: max_bytes // 8])
    return _ENCODER.encode(Answer(request.id, error=short))
