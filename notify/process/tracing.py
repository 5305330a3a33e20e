"""Spans of OpenTelemetry for what is sent and processed, by its conventions for messaging.

They are made if the program has imported ``opentelemetry.trace``, as it does to set up its SDK. Else nothing is done, and no byte is sent.
What is sent carries the W3C ``traceparent`` of its span, so that who processes it goes on with the same trace, in any process.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final, TypeAlias

__all__ = ["UNTRACED", "consuming", "current_trace_id", "current_traceparent", "flush_spans", "is_traced", "producing"]

Attributes: TypeAlias = Mapping[str, str | int]

UNTRACED: Final = nullcontext()
"""The block of a program that is not traced. It can be used again and again."""
API: Final = "opentelemetry.trace"
TRACER: Final = "notify"
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
FLUSH_MS: Final = 1_000


def is_traced() -> bool:
    """Return whether the program has set a provider of tracers."""
    # The public get_tracer_provider() takes a microsecond, and each event and job asks.
    return getattr(sys.modules.get(API), "_TRACER_PROVIDER", None) is not None


def current_traceparent() -> str | None:
    """Return the W3C ``traceparent`` of the current span; ``None`` if there is none."""
    context = _current()
    return None if context is None else f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def current_trace_id() -> str | None:
    """Return the id of the current trace in hexadecimal digits; ``None`` if there is none."""
    context = _current()
    return None if context is None else f"{context.trace_id:032x}"


def producing(operation: str, destination: str, *, attributes: Attributes | None = None) -> AbstractContextManager[Any]:
    """Return a block with a PRODUCER span: what is sent in it carries its ``traceparent``.

    Args:
        operation: what is done: ``publish``, ``enqueue`` or ``call``.
        destination: the topic, queue or service.
        attributes: further ones, by their names without ``messaging.``.
    """
    return _span(operation, "send", destination, "PRODUCER", None, attributes) if is_traced() else UNTRACED


def consuming(
    operation: str, destination: str, *, traceparent: str | None, attributes: Attributes | None = None
) -> AbstractContextManager[Any]:
    """Return a block with a CONSUMER span that goes on with the trace of what was sent.

    Args:
        operation: what is done: ``process`` or ``serve``.
        destination, attributes: as for `producing`.
        traceparent: what the message carries; ``None`` or one that cannot be read begins a trace.
    """
    return _span(operation, "process", destination, "CONSUMER", traceparent, attributes) if is_traced() else UNTRACED


def flush_spans() -> None:
    """Have spans exported that wait for that, within a second: this process may end at any moment."""
    if is_traced():
        flush = getattr(sys.modules[API].get_tracer_provider(), "force_flush", None)
        if flush is not None:
            flush(FLUSH_MS)


@contextmanager
def _span(
    operation: str, kind_of_operation: str, destination: str, kind: str, traceparent: str | None, attributes: Attributes | None
) -> Iterator[Any]:
    api: Any = sys.modules[API]
    known = {
        "messaging.system": "notify",
        "messaging.operation.name": operation,
        "messaging.operation.type": kind_of_operation,
        "messaging.destination.name": destination,
        **{f"messaging.{name}": value for name, value in (attributes or {}).items()},
    }
    context = _remote(api, traceparent)
    tracer = api.get_tracer(TRACER)
    with tracer.start_as_current_span(f"{operation} {destination}", context, kind=api.SpanKind[kind], attributes=known) as span:
        yield span


def _current() -> Any:
    if not is_traced():
        return None
    context = sys.modules[API].get_current_span().get_span_context()
    return context if context.is_valid else None


def _remote(api: Any, traceparent: str | None) -> Any:
    """Return the context of a span in another process; ``None``, for the current one, if there is none."""
    found = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    context = api.SpanContext(trace_id, span_id, is_remote=True, trace_flags=api.TraceFlags(flags))
    return api.set_span_in_context(api.NonRecordingSpan(context)) if context.is_valid else None
