"""The client side of requests: one thread reads the answers for all calls of a bus."""

import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from notify import ClosedError, RequestTimeoutError
from notify.directory import Upkeep
from notify.requests.client import RequestClient
from notify.requests.message import Request
from notify.requests.resolver import Endpoint
from notify.server.stream_reader import COUNT, StreamReader
from notify.testing import wait_until
from tests.support.faults import server_ms
from tests.support.processes import Calculator


def test_answers_that_were_read_are_trimmed_from_the_stream(bus, another_bus, monkeypatch):
    monkeypatch.setattr("notify.requests.client.TRIM_EVERY", 10)
    monkeypatch.setattr("tests.support.processes.say", lambda _: None)
    with bus.service("calculator", exports=Calculator()):
        for n in range(25):
            another_bus.call("calculator", "multiply", n, 1)
        (answers,) = bus.redis.keys("*:answers:*")
        wait_until(lambda: bus.redis.xlen(answers) < 10)


def test_all_answers_are_processed_before_any_withdrawal(bus):
    caller = RequestClient(bus.redis, name="test", upkeep=Upkeep(bus.redis))
    answers = [(f"{n}-0", {b"answer": b'{"id":"late"}'}) for n in range(COUNT)]
    caller._dispatch(answers, [("7-0", {})])
    assert sorted(caller._positions.values()) == ["0-0", f"{COUNT - 1}-0"]
    caller._dispatch(answers[1:], [("7-0", {})])
    assert sorted(caller._positions.values()) == ["7-0", f"{COUNT - 1}-0"]
    caller._reader.close()


@pytest.mark.parametrize("looks", [True, False], ids=["protected", "twin"])
def test_an_answer_is_heard_although_its_stream_began_anew_before_the_last_one(bus, another_bus, monkeypatch, looks):
    """The caller was idle until its stream was gone, and the clock of the server was put back: the new ids are before the last one."""
    monkeypatch.setattr("tests.support.processes.say", lambda _: None)
    if not looks:
        monkeypatch.setattr(StreamReader, "is_behind", lambda *_: False)
    with bus.service("calculator", exports=Calculator()):
        assert another_bus.call("calculator", "multiply", 6, 7) == 42
        caller = another_bus._runtime._request_client
        caller._positions[caller._answers] = f"{server_ms(bus.redis) + 600_000}-0"
        bus.redis.delete(caller._answers)
        before = caller._positions[caller._changes]
        with bus.service("another"):
            wait_until(lambda: caller._positions[caller._changes] != before, what="the end of the read that had begun")
        if looks:
            assert another_bus.call("calculator", "multiply", 3, 4, timeout_s=10) == 12
        else:
            with pytest.raises(RequestTimeoutError):
                another_bus.call("calculator", "multiply", 3, 4, timeout_s=1.5)


def test_the_end_of_an_earlier_incarnation_does_not_end_a_call(bus):
    caller = RequestClient(bus.redis, name="test", upkeep=Upkeep(bus.redis))
    request = Request("1", "multiply", [], {}, "caller")
    with caller._pending_call(request, Endpoint("calculator", 2, frozenset(), is_suspect=False)) as call:
        for incarnation, is_ended in ((1, False), (2, True)):
            change = {"change": "withdrawn", "service": "calculator", "incarnation": incarnation, "reason": "expired"}
            caller._on_change(msgspec.json.encode({"contents": change}))
            assert call.outcome.empty() is not is_ended


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_reading_thread_that_dies_ends_all_calls_and_refuses_new_ones(bus, another_bus, monkeypatch):
    monkeypatch.setattr("tests.support.processes.say", lambda _: None)
    with bus.service("calculator", exports=Calculator()), ThreadPoolExecutor() as pool:
        assert another_bus.call("calculator", "multiply", 6, 7) == 42
        call = pool.submit(another_bus.call, "calculator", "sleep", 0.5, timeout_s=30)
        caller = another_bus._runtime._request_client
        wait_until(lambda: caller._pending)
        monkeypatch.setattr(RequestClient, "_dispatch", lambda *_: 1 / 0)
        with pytest.raises(ClosedError):
            call.result(5)
        with pytest.raises(ClosedError):
            another_bus.call("calculator", "multiply", 6, 7)
    wait_until(lambda: "notify-caller" not in [thread.name for thread in threading.enumerate()])
