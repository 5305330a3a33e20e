"""Jobs of a program that is traced: its spans go to the file in $NOTIFY_TEST_SPANS, one JSON object in each line."""

import json
import os
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from workers import current_bus, job


class FileExporter(SpanExporter):
    """Appends each span to a file."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with open(os.environ["NOTIFY_TEST_SPANS"], "a") as file:
            for span in spans:
                file.write(json.dumps(row_of(span)) + "\n")
        return SpanExportResult.SUCCESS


def row_of(span: ReadableSpan) -> dict[str, object]:
    assert span.context is not None
    return {
        "name": span.name,
        "kind": span.kind.name,
        "trace": f"{span.context.trace_id:032x}",
        "id": f"{span.context.span_id:016x}",
        "parent": None if span.parent is None else f"{span.parent.span_id:016x}",
        "state": span.context.trace_state.to_header(),
        "links": [f"{link.context.span_id:016x}" for link in span.links],
        "attributes": dict(span.attributes or {}),
        "status": span.status.status_code.name,
        "pid": os.getpid(),
    }


if "NOTIFY_TEST_SPANS" in os.environ:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(FileExporter()))
    trace.set_tracer_provider(provider)


@job("work")
def ask(question: str) -> str:
    with current_bus() as bus:
        return str(bus.call("oracle", "answer", question))


@job("work", concurrency=5)
async def ask_beside(question: str) -> str:
    return trace.get_current_span().get_span_context().trace_id.to_bytes(16).hex()


@job("work")
def fail() -> None:
    raise LookupError("nothing there")
