"""Spans of OpenTelemetry: an event, the job that it leads to, and the call that the job makes are one trace, across processes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once

import notify
from notify.testing import wait_until
from tests.support.traced_jobs import ask, ask_beside, fail, row_of
from tests.workers.conftest import StartWorkers
from workers import Job, Queue

MODULE = "tests.support.traced_jobs"
Row = dict[str, Any]


@pytest.fixture(scope="module")
def memory() -> Iterator[InMemorySpanExporter]:
    """The exporter of this process, whose provider can be set once."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    yield exporter
    trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = None, Once()  # or the jobs of other tests would be traced too


@pytest.fixture
def spans(memory: InMemorySpanExporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Spans":
    monkeypatch.setenv("NOTIFY_TEST_SPANS", str(tmp_path / "spans"))
    memory.clear()
    return Spans(memory, tmp_path / "spans")


class Spans:
    """The spans of this process, and of the workers."""

    def __init__(self, memory: InMemorySpanExporter, file: Path) -> None:
        self._memory, self._file = memory, file

    def named(self, name: str) -> list[Row]:
        rows = [row_of(span) for span in self._memory.get_finished_spans()]
        rows += [json.loads(line) for line in self._file.read_text().splitlines()] if self._file.exists() else []
        return [row for row in rows if row["name"] == name]

    def one(self, name: str) -> Row:
        (found,) = wait_until(lambda: self.named(name), timeout_s=10, what=f"a span {name!r}, of {self._memory.get_finished_spans()}")
        return found


class Oracle:
    def answer(self, question: str) -> str:
        return f"{question}: {trace.get_current_span().get_span_context().trace_id:032x}"


def test_event_job_and_call_are_one_trace_over_three_processes(
    bus: notify.Bus,
    queue: Queue,
    start_workers: StartWorkers,
    spans: Spans,
) -> None:
    start_workers(modules=(MODULE,))
    jobs: list[Job] = []
    with bus.manager() as manager, bus.service("oracle", exports=Oracle()):
        manager.subscribe("client", lambda event: jobs.append(queue.enqueue(ask, str(event.contents))), "questions")
        # The third process publishes; it is traced too, and its span is the root.
        publisher = f"import {MODULE}, notify\nwith notify.connect({bus.settings.url!r}) as bus:\n    bus.publish('questions', 'why')\n"
        subprocess.run([sys.executable, "-c", publisher], check=True, timeout=30)
        wait_until(lambda: jobs, timeout_s=10)
        assert jobs[0].wait(15).status == "finished"
    publish, process = spans.one("publish questions"), spans.one("process questions")
    enqueue, run, call, serve = (spans.one(name) for name in ("enqueue work", "process work", "call oracle.answer", "serve oracle.answer"))
    assert publish["parent"] is None
    chain = [publish, process, enqueue, run, call, serve]
    assert [row["parent"] for row in chain[1:]] == [row["id"] for row in chain[:-1]]
    assert {row["trace"] for row in chain} == {publish["trace"]}
    assert [row["kind"] for row in chain] == ["PRODUCER", "CONSUMER", "PRODUCER", "CONSUMER", "PRODUCER", "CONSUMER"]
    assert jobs[0].return_value() == f"why: {publish['trace']}"
    assert len({row["pid"] for row in chain}) == 3
    assert run["attributes"] == {
        "messaging.system": "notify",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "work",
        "messaging.message.id": jobs[0].id,
    }


def test_many_jobs_one_that_fails_and_one_beside_others_go_on_with_the_trace(
    bus: notify.Bus,
    queue: Queue,
    start_workers: StartWorkers,
    spans: Spans,
    capfd: pytest.CaptureFixture[str],
) -> None:
    start_workers(modules=(MODULE,), log_format="json")
    with trace.get_tracer("test").start_as_current_span("root") as root:
        trace_id = f"{root.get_span_context().trace_id:032x}"
        jobs = queue.enqueue_many([Queue.prepare_data(ask_beside, ["a"]), Queue.prepare_data(ask_beside, ["b"])])
        failing = queue.enqueue(fail)
    assert all(job.wait(15).status == "finished" for job in jobs)
    assert [job.return_value() for job in jobs] == [trace_id, trace_id]
    assert failing.wait(15).status == "failed"
    rows = wait_until(lambda: len(found := spans.named("process work")) == 3 and found, timeout_s=10)
    assert {row["trace"] for row in rows} == {trace_id}
    assert [row["status"] for row in rows if row["attributes"]["messaging.message.id"] == failing.id] == ["ERROR"]
    counts = [row["attributes"].get("messaging.batch.message_count") for row in spans.named("enqueue work")]
    assert counts == [2, None]


def test_a_subscriber_goes_on_with_the_trace_of_an_event(bus: notify.Bus, spans: Spans) -> None:
    with bus.subscribe("yard") as events:
        bus.publish("yard", 1)
        event = events.get(5)
        assert isinstance(event, notify.Event)
        with event.processing():
            bus.publish("street", 2)
    first, processed, second = spans.one("publish yard"), spans.one("process yard"), spans.one("publish street")
    assert (processed["parent"], second["parent"]) == (first["id"], processed["id"])
    assert processed["attributes"]["messaging.message.id"] == event.id


def test_a_span_that_cannot_be_read_begins_a_trace(bus: notify.Bus, spans: Spans) -> None:
    for number, forged in enumerate(("", "00-zz-11-01", f"00-{'0' * 32}-{'0' * 16}-01", "x" * 1000)):
        with notify.Event(topic=f"t{number}", contents=1, traceparent=forged).processing():
            pass
        assert spans.one(f"process t{number}")["parent"] is None


UNTRACED = """
import sys
if sys.argv[1] == "absent":
    sys.modules["opentelemetry"] = None
import notify
from notify.testing import private_server
from notify.events import encode
from notify.requests.message import Request, encode_request
from tests.support.sample_jobs import add
from workers import Queue
with private_server() as server, notify.connect(server.url) as bus:
    job = Queue("work", connection=bus.redis).enqueue(add)
    bus.publish("t", 1)
    (_, fields), = bus.redis.xrange(bus.keys.log("t"))
    assert b"traceparent" not in fields[b"data"], fields
    assert b"traceparent" not in bus.redis.hgetall(job.key), job.key
    assert b"traceparent" not in encode_request(Request("1", "m", [], {}, "c"), max_bytes=1000)
"""


@pytest.mark.any_server
@pytest.mark.parametrize("extra", ["absent", "installed"])
def test_a_program_that_is_not_traced_sends_not_one_byte_more(extra: str) -> None:
    subprocess.run([sys.executable, "-c", UNTRACED, extra], check=True, timeout=30, cwd=Path(__file__).parents[2])
