"""Spans of OpenTelemetry for what is sent and processed, by its conventions for messaging.

They are made if the program has imported ``opentelemetry.trace``, as it does to set up its SDK. Else nothing is done, and no byte is sent.
What is sent carries ``traceparent`` and ``tracestate`` of its span, by W3C, so that who processes it goes on with the same trace.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias

__all__ = [
    "NO_TRACE",
    "UNTRACED",
    "Trace",
    "consuming",
    "current_trace",
    "current_trace_id",
    "flush_spans",
    "is_traced",
    "producing",
    "received",
    "sending",
]

Attributes: TypeAlias = Mapping[str, str | int]

UNTRACED: Final = nullcontext()
"""The block of a program that is not traced. It can be used again and again."""
API: Final = "opentelemetry.trace"
TRACER: Final = "notify"
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_KEY: Final = "(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
_MEMBER: Final = _KEY + r"=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
_TRACESTATE: Final = re.compile(rf"{_MEMBER}(?:[ \t]*,[ \t]*{_MEMBER}){{0,31}}")
MOST_CHARS: Final = 512
"""The longest ``tracestate`` that is carried: W3C asks for this much, and a longer one costs every message."""
MOST_NAMED: Final = 3
"""So many destinations stand in the name of a span; of more, their number."""
FLUSH_MS: Final = 1_000


class Trace(NamedTuple):
    """What a message carries of the span in which it was sent, by W3C.

    Args:
        traceparent: the ids of the trace and of the span; ``None`` if there is no span.
        tracestate: what vendors add, such as a decision about sampling; ``None`` if there is nothing.
    """

    traceparent: str | None = None
    tracestate: str | None = None


NO_TRACE: Final = Trace()
"""What is carried without a span."""


def is_traced() -> bool:
    """Return whether the program has set a provider of tracers."""
    # The public get_tracer_provider() takes a microsecond, and each event and job asks.
    return getattr(sys.modules.get(API), "_TRACER_PROVIDER", None) is not None


def current_trace() -> Trace:
    """Return what a message carries that is sent now: that of the current span, or `NO_TRACE`."""
    context = _current()
    if context is None:
        return NO_TRACE
    state = context.trace_state.to_header() if context.trace_state else ""
    traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
    return Trace(traceparent, state if 0 < len(state) <= MOST_CHARS else None)


def current_trace_id() -> str | None:
    """Return the id of the current trace in hexadecimal digits; ``None`` if there is none."""
    context = _current()
    return None if context is None else f"{context.trace_id:032x}"


def producing(operation: str, destination: str | Sequence[str], *, attributes: Attributes | None = None) -> AbstractContextManager[Any]:
    """Return a block with a PRODUCER span: what is sent in it carries the span.

    Args:
        operation: what is done: ``publish``, ``enqueue``, ``schedule`` or ``call``; ``create`` if it is sent later, by `sending`.
        destination: the topic, queue or service; or several.
        attributes: further ones, by their names without ``messaging.``.
    """
    kind_of_operation = "create" if operation == "create" else "send"
    return _span(operation, kind_of_operation, _in_short(destination), "PRODUCER", NO_TRACE, attributes) if is_traced() else UNTRACED


def sending(destinations: Sequence[str], traces: Sequence[Trace]) -> AbstractContextManager[Any]:
    """Return a block with a CLIENT span for a batch of messages, with links to the spans in which they were created.

    Args:
        destinations: the topics.
        traces: what the messages carry; those that carry nothing count only.
    """
    if not is_traced():
        return UNTRACED
    links = _links(sys.modules[API], traces)
    attributes = {"batch.message_count": len(traces)}
    return _span("publish", "send", _in_short(destinations), "CLIENT", NO_TRACE, attributes, links)


def received(destination: str, trace: Trace, *, since: datetime, attributes: Attributes | None = None) -> None:
    """Record a CLIENT span for the receipt of a message, with a link to the span in which it was created; call it if `is_traced`.

    Args:
        destination, attributes: as for `producing`.
        trace: what the message carries.
        since: when it came to this process.
    """
    api: Any = sys.modules[API]
    known = _attributes("receive", "receive", destination, attributes)
    began_ns = round(since.timestamp() * 1e9)
    tracer, kind = api.get_tracer(TRACER), api.SpanKind.CLIENT
    tracer.start_span(f"receive {destination}", kind=kind, attributes=known, links=_links(api, [trace]), start_time=began_ns).end()


def consuming(operation: str, destination: str, *, trace: Trace, attributes: Attributes | None = None) -> AbstractContextManager[Any]:
    """Return a block with a CONSUMER span that goes on with the trace of what was sent.

    Args:
        operation: what is done: ``process`` or ``serve``.
        destination, attributes: as for `producing`.
        trace: what the message carries; nothing, or what cannot be read, begins a trace.
    """
    return _span(operation, "process", destination, "CONSUMER", trace, attributes) if is_traced() else UNTRACED


def flush_spans() -> None:
    """Have spans exported that wait for that, within a second: this process may end at any moment."""
    if is_traced():
        flush = getattr(sys.modules[API].get_tracer_provider(), "force_flush", None)
        if flush is not None:
            flush(FLUSH_MS)


@contextmanager
def _span(
    operation: str,
    kind_of_operation: str,
    destination: str,
    kind: str,
    trace: Trace,
    attributes: Attributes | None,
    links: Sequence[Any] = (),
) -> Iterator[Any]:
    api: Any = sys.modules[API]
    known = _attributes(operation, kind_of_operation, destination, attributes)
    remote = _remote(api, trace)
    context = None if remote is None else api.set_span_in_context(api.NonRecordingSpan(remote))
    name, span_kind = f"{operation} {destination}", api.SpanKind[kind]
    with api.get_tracer(TRACER).start_as_current_span(name, context, kind=span_kind, attributes=known, links=links) as span:
        yield span


def _in_short(destination: str | Sequence[str]) -> str:
    """Return destinations as one name, of which there are few: a batch may have hundreds."""
    if isinstance(destination, str):
        return destination
    return ", ".join(destination) if len(destination) <= MOST_NAMED else f"{len(destination)} topics"


def _attributes(operation: str, kind_of_operation: str, destination: str, attributes: Attributes | None) -> Attributes:
    return {
        "messaging.system": "notify",
        "messaging.operation.name": operation,
        "messaging.operation.type": kind_of_operation,
        "messaging.destination.name": destination,
        **{f"messaging.{name}": value for name, value in (attributes or {}).items()},
    }


def _current() -> Any:
    if not is_traced():
        return None
    context = sys.modules[API].get_current_span().get_span_context()
    return context if context.is_valid else None


def _links(api: Any, traces: Sequence[Trace]) -> list[Any]:
    return [api.Link(context) for trace in traces if (context := _remote(api, trace)) is not None]


def _remote(api: Any, trace: Trace) -> Any:
    """Return the context of the span that a message carries; ``None`` if it carries none that can be read."""
    found = None if trace.traceparent is None else _TRACEPARENT.fullmatch(trace.traceparent)
    if found is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    state, text = None, trace.tracestate or ""
    # Checked here, for the API logs a warning for each that it cannot read, and anybody may publish.
    if len(text) <= MOST_CHARS and _TRACESTATE.fullmatch(text):
        state = api.TraceState.from_header([text])
    context = api.SpanContext(trace_id, span_id, is_remote=True, trace_flags=api.TraceFlags(flags), trace_state=state)
    return context if context.is_valid else None
