"""A reader of answers and of changes that meets what it cannot read counts it, says so once, and goes on: calls do not break."""

import logging
from collections.abc import Iterator

import pytest

import notify
from notify.keys import SERVICES_TOPIC
from notify.requests.client import RequestClient
from notify.testing import wait_until
from tests.support.processes import Calculator
from tests.support.spoilt import DEEP, VALUES

NESTED = b"[" * DEEP + b"]" * DEEP
ODD: dict[str, bytes] = {
    **VALUES,
    "an id that is no text": b'{"id":7}',
    "a huge number": b'{"id":"x","result":1e999}',
    "nan in an answer": b'{"id":"x","result":NaN}',
    "400 digits": b'{"id":' + b"9" * 400 + b"}",
    "deep in an answer": b'{"id":"x","result":' + NESTED + b"}",
    "deep in a change": b'{"contents":{"change":"withdrawn","service":"s","provides":' + NESTED + b"}}",
    "an odd change": b'{"contents":{"change":7,"service":[],"incarnation":1e999}}',
    "a service that is no UTF-8": b'{"contents":{"change":"withdrawn","service":"\xff","incarnation":1}}',
    "no contents": b"{}",
}


@pytest.fixture
def caller(bus: notify.Bus, another_bus: notify.Bus, monkeypatch: pytest.MonkeyPatch) -> Iterator[RequestClient]:
    """The client of requests of ``another_bus``, which has called a method."""
    monkeypatch.setattr("tests.support.processes.say", lambda _: None)
    with bus.service("calculator", exports=Calculator()):
        assert another_bus.call("calculator", "multiply", 6, 7) == 42
        client = another_bus._runtime._request_client
        assert client is not None
        yield client


def spoil(bus: notify.Bus, stream: str, field: str) -> None:
    for value in ODD.values():
        bus.redis.xadd(stream, {field: value})
    bus.redis.xadd(stream, {b"\xff": b"\xff"})


def test_spoilt_answers_are_counted_told_once_and_passed_over(
    bus: notify.Bus, another_bus: notify.Bus, caller: RequestClient, caplog: pytest.LogCaptureFixture
) -> None:
    before = caller.skipped
    with caplog.at_level(logging.WARNING):
        spoil(bus, caller._answers, "answer")
        assert another_bus.call("calculator", "multiply", 3, 4) == 12
        wait_until(lambda: caller.skipped - before > len(VALUES), what="the count")
        spoil(bus, caller._answers, "answer")
        assert another_bus.call("calculator", "multiply", 3, 5) == 15
    assert len([record for record in caplog.records if "is not an answer" in record.message]) == 1


def test_spoilt_changes_of_services_are_counted_told_once_and_passed_over(
    bus: notify.Bus, another_bus: notify.Bus, caller: RequestClient, caplog: pytest.LogCaptureFixture
) -> None:
    log = bus.keys.log(SERVICES_TOPIC)
    with caplog.at_level(logging.WARNING):
        spoil(bus, log, "data")
        ((last, _),) = bus.redis.xrevrange(log, count=1)
        wait_until(lambda: caller._positions[log] == last.decode(), what="the reading of the changes")
        assert another_bus.call("calculator", "multiply", 3, 4) == 12
    assert caller.skipped > len(VALUES)
    assert len([record for record in caplog.records if "is not a change" in record.message]) == 1
    with bus.service("another", exports=Calculator()):  # and changes are still heard
        assert another_bus.call("another", "multiply", 2, 2) == 4


def test_an_alarm_is_no_spoilt_change(caller: RequestClient) -> None:
    caller._on_change(b'{"contents":{"change":"alarm","silent":12,"of":20}}')
    assert caller.skipped == 0
