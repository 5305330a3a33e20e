"""Spans of OpenTelemetry: an event, the job that it leads to, and the call that the job makes are one trace, across processes."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once

import notify
from notify.events import EventScripts, publish_direct
from notify.flows import pipeline, publish_to
from notify.process import Trace, consuming
from notify.testing import wait_until
from tests.support.traced_jobs import ask, ask_beside, fail, row_of
from tests.workers.conftest import StartWorkers
from workers import Job, Queue, requeue

MODULE = "tests.support.traced_jobs"
CRON_MODULE = "tests.support.traced_cron"
TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
STATE = "vendor=at:0.5,2nd@shop=x"
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


def span_of(event: object) -> tuple[str, str]:
    """The ids of the trace and the span that an event carries."""
    assert isinstance(event, notify.Event)
    _, trace_id, span_id, _ = str(event.traceparent).split("-")
    return trace_id, span_id


def in_span_with_state(state: str = STATE) -> AbstractContextManager[Any]:
    """A span whose parent has a state, as that of a request from elsewhere may have."""
    return consuming("serve", "yard", trace=Trace(f"00-{TRACE_ID}-{SPAN_ID}-01", state))


def test_the_state_that_vendors_add_to_a_trace_goes_the_same_way(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, spans: Spans
) -> None:
    start_workers(modules=(MODULE,))
    with bus.service("oracle", exports=Oracle()), bus.subscribe("yard") as events:
        with in_span_with_state():
            bus.publish("yard", 1)
            job = queue.enqueue(ask, "why")
            many = queue.enqueue_many([Queue.prepare_data(ask_beside, ["a"]), Queue.prepare_data(ask_beside, ["b"])])
        event = events.get(5)
        assert isinstance(event, notify.Event)
        assert event.tracestate == STATE
        assert job.wait(15).status == "finished"
        assert all(each.wait(15).status == "finished" for each in many)
    for name, count in {"publish yard": 1, "enqueue work": 2, "process work": 3, "call oracle.answer": 1, "serve oracle.answer": 1}.items():
        rows = wait_until(lambda name=name, count=count: len(found := spans.named(name)) == count and found, timeout_s=10)  # type: ignore[misc]
        assert {(row["trace"], row["state"]) for row in rows} == {(TRACE_ID, STATE)}, name


def test_a_trace_without_a_state_has_no_field_for_it(bus: notify.Bus, queue: Queue, spans: Spans) -> None:
    job = queue.enqueue(ask, "why")
    bus.publish("yard", 1)
    ((_, fields),) = bus.redis.xrange(bus.keys.log("yard"))
    assert b"traceparent" in fields[b"data"]
    assert b"tracestate" not in fields[b"data"]
    assert b"traceparent" in bus.redis.hgetall(job.key)
    assert b"tracestate" not in bus.redis.hgetall(job.key)


@pytest.mark.parametrize(
    "state", ["", "a", "9key=1", "a=1,a=2", "x" * 600, f"a={'b' * 510}c", ",".join(f"k{n}=1" for n in range(33)), "é=1"]
)
def test_a_state_that_cannot_be_read_is_left_out_without_a_word(spans: Spans, state: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), in_span_with_state(state):
        pass
    assert (spans.one("serve yard")["trace"], spans.one("serve yard")["state"]) == (TRACE_ID, "")
    assert caplog.text == ""


def test_a_state_with_blanks_between_its_members_is_carried(spans: Spans) -> None:
    """W3C allows them."""
    with in_span_with_state(STATE.replace(",", " ,\t")):
        pass
    assert spans.one("serve yard")["state"] == STATE


def test_a_job_that_is_enqueued_again_carries_nothing_of_its_earlier_span(bus: notify.Bus, queue: Queue, spans: Spans) -> None:
    with in_span_with_state():
        job = queue.enqueue(ask, "why")
    job.cancel()
    with trace.get_tracer("test").start_as_current_span("root") as root:
        requeue(bus.redis, job.id)
    fields = bus.redis.hgetall(job.key)
    assert f"{root.get_span_context().trace_id:032x}".encode() in fields[b"traceparent"]
    assert fields[b"tracestate"] == b""


def test_a_job_that_is_scheduled_or_deferred_runs_in_the_trace_in_which_it_was_made(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, spans: Spans
) -> None:
    start_workers(modules=(MODULE,))
    with in_span_with_state():
        scheduled = queue.enqueue_in(timedelta(milliseconds=50), ask_beside, "a")
        deferred = queue.enqueue(ask_beside, "b", depends_on=scheduled)
    assert [job.wait(15).status for job in (scheduled, deferred)] == ["finished", "finished"]
    assert [job.return_value() for job in (scheduled, deferred)] == [TRACE_ID, TRACE_ID]
    rows = wait_until(lambda: len(found := spans.named("process work")) == 2 and found, timeout_s=10)
    assert {(row["trace"], row["state"]) for row in rows} == {(TRACE_ID, STATE)}
    schedule, root = spans.one("schedule work"), spans.one("serve yard")
    assert (schedule["kind"], schedule["parent"], schedule["attributes"]["messaging.message.id"]) == ("PRODUCER", root["id"], scheduled.id)
    assert {row["attributes"]["messaging.message.id"]: row["parent"] for row in rows}[scheduled.id] == schedule["id"]


def test_a_recurring_job_runs_in_the_trace_of_the_leader_that_enqueued_it(
    bus: notify.Bus, start_workers: StartWorkers, spans: Spans
) -> None:
    start_workers(modules=(CRON_MODULE,), queues=("ticks",))
    first = wait_until(lambda: spans.named("process ticks"), timeout_s=15)[0]
    (enqueue,) = wait_until(lambda: [row for row in spans.named("enqueue ticks") if row["id"] == first["parent"]])
    assert (enqueue["kind"], enqueue["trace"], enqueue["parent"]) == ("PRODUCER", first["trace"], None)
    assert enqueue["attributes"]["messaging.notify.answer"] == "enqueued"
    assert enqueue["attributes"]["messaging.message.id"] == first["attributes"]["messaging.message.id"]
    assert enqueue["pid"] != first["pid"]


def test_who_gets_an_event_records_its_receipt_and_a_callback_does_not(bus: notify.Bus, spans: Spans) -> None:
    called: list[notify.Event] = []
    with bus.subscribe("yard") as events, bus.manager() as manager:
        manager.subscribe("client", called.append, "street")
        bus.publish("yard", 1)
        bus.publish("street", 1)
        event = events.get(5)
        assert isinstance(event, notify.Event)
        assert events.get(0) is None
        wait_until(lambda: called)
    publish, receive = spans.one("publish yard"), spans.one("receive yard")
    assert (receive["kind"], receive["parent"], receive["links"]) == ("CLIENT", None, [publish["id"]])
    assert receive["trace"] != publish["trace"]
    assert receive["attributes"] == {
        "messaging.system": "notify",
        "messaging.operation.name": "receive",
        "messaging.operation.type": "receive",
        "messaging.destination.name": "yard",
        "messaging.message.id": event.id,
    }
    assert spans.one("process street")
    assert spans.named("receive street") == []


def test_events_of_a_background_publisher_have_spans_and_their_batch_links_to_them(bus: notify.Bus, spans: Spans) -> None:
    with bus.subscribe("yard") as events:
        publisher = bus.background_publisher()
        with trace.get_tracer("test").start_as_current_span("root") as root:
            publisher.put("yard", 1)
            publisher.put(["yard", "street"], 2)
        publisher.start()
        publisher.close()
        carried = [span_of(events.get(5)), span_of(events.get(5))]
    created = spans.named("create yard")
    assert [(row["trace"], row["id"]) for row in created] == carried
    assert {row["parent"] for row in created} == {f"{root.get_span_context().span_id:016x}"}
    assert {(row["kind"], row["attributes"]["messaging.operation.type"]) for row in created} == {("PRODUCER", "create")}
    batch = spans.one("publish yard, street")
    assert (batch["kind"], batch["parent"], batch["attributes"]["messaging.batch.message_count"]) == ("CLIENT", None, 3)
    assert batch["links"] == [*(row["id"] for row in created), spans.one("create street")["id"]]


def test_a_span_of_many_topics_has_their_number_for_a_name(bus: notify.Bus, spans: Spans) -> None:
    with bus.background_publisher() as publisher:
        publisher.put(["a", "b", "c", "d"], 1)
    assert len(spans.one("publish 4 topics")["links"]) == 4
    bus.publish(["a", "b", "c"], 2)
    assert spans.one("publish a, b, c")["kind"] == "PRODUCER"


def test_events_that_are_in_no_log_carry_a_span_too(bus: notify.Bus, spans: Spans) -> None:
    with bus.subscribe("yard", "street") as events:
        bus.publish_unlogged("yard", 1)
        assert publish_direct(EventScripts(bus.redis), notify.Event(topic="street", contents=2), to=bus.name) == 1
        carried = [span_of(events.get(5)), span_of(events.get(5))]
    assert [(row["trace"], row["id"]) for row in (spans.one("publish yard"), spans.one("publish street"))] == carried


def test_an_event_that_a_flow_hands_on_stays_in_its_trace(bus: notify.Bus, spans: Spans) -> None:
    traceparent = f"00-{TRACE_ID}-{SPAN_ID}-01"
    with bus.subscribe("street", "yard") as events:
        event = notify.Event(topic="yard", contents=1, traceparent=traceparent, tracestate=STATE)
        pipeline([event], publish_to(bus, "street")).run()
        pipeline([2], publish_to(bus, "yard")).run()
        first, second = events.get(5), events.get(5)
    assert isinstance(first, notify.Event)
    assert first.trace == Trace(traceparent, STATE)
    created = spans.one("create yard")
    assert span_of(second) == (created["trace"], created["id"])


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
    assert b"trace" not in fields[b"data"], fields
    assert not any(b"trace" in name for name in bus.redis.hgetall(job.key)), job.key
    assert b"trace" not in encode_request(Request("1", "m", [], {}, "c"), max_bytes=1000)
"""


@pytest.mark.any_server
@pytest.mark.parametrize("extra", ["absent", "installed"])
def test_a_program_that_is_not_traced_sends_not_one_byte_more(extra: str) -> None:
    subprocess.run([sys.executable, "-c", UNTRACED, extra], check=True, timeout=30, cwd=Path(__file__).parents[2])
