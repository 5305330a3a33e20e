"""Backoff: an outage is logged when it begins and when it ends, pauses grow up to a limit, and calls are retried while it lasts."""

import logging
import threading
import time

import pytest
import redis

import notify
from notify.server.backoff import FIRST_PAUSE_S, MAX_PAUSE_S, Backoff, retry_while_away

pytestmark = pytest.mark.any_server


@pytest.fixture
def backoff(caplog):
    caplog.set_level(logging.INFO)
    return Backoff(logging.getLogger("test"), "the sweep")


def test_an_outage_is_logged_when_it_begins_and_when_it_ends(backoff, caplog):
    for _ in range(2):
        for attempt in range(5):
            backoff.failed(f"no answer ({attempt})")
        for _ in range(3):
            backoff.over()
    began, ended, *again = [record.getMessage() for record in caplog.records]
    assert began == "the sweep waits for the server: no answer (0)"
    assert ended.startswith("the sweep has reached the server again after 0.")
    assert len(again) == 2


def test_without_an_outage_nothing_is_logged(backoff, caplog):
    backoff.over()
    assert not caplog.records


def test_an_outage_that_becomes_a_refusal_is_logged_again_at_its_level(backoff, caplog):
    for level in (logging.WARNING, logging.WARNING, logging.ERROR, logging.ERROR):
        backoff.failed("no answer", level=level)
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]


def test_pauses_grow_up_to_a_limit_and_start_small_again_at_the_next_outage(backoff):
    assert 0 < backoff.failed("x") <= FIRST_PAUSE_S
    backoff._began_at -= 60
    assert MAX_PAUSE_S / 2 <= backoff.failed("x") <= MAX_PAUSE_S
    backoff.over()
    assert backoff.failed("x") <= FIRST_PAUSE_S


class Server:
    """Fails with the given errors, then answers; records for each call whether it was a repetition."""

    def __init__(self, *problems):
        self.problems = list(problems)
        self.asked = []

    def __call__(self, again):
        self.asked.append(again)
        if self.problems:
            raise self.problems.pop(0)
        return "done"


def refused(cause):
    error = notify.ServerRefusedError("refused")
    error.__cause__ = cause
    return error


PASSING = [
    notify.ServerUnreachableError("away"),
    redis.ConnectionError("away"),
    redis.TimeoutError("away"),
    redis.ReadOnlyError("a replica"),
    refused(redis.OutOfMemoryError("full")),
]


@pytest.mark.parametrize("problem", PASSING)
def test_a_call_is_repeated_until_the_outage_is_over(problem, caplog):
    server = Server(problem, problem)
    assert retry_while_away(server, name="the worker", leaving=threading.Event(), leave_s=0) == "done"
    assert server.asked == [False, True, True]
    began, ended = [record.getMessage() for record in caplog.records]
    assert began.startswith("the worker waits for the server")
    assert ended.startswith("the worker has reached the server again after")


@pytest.mark.parametrize("problem", [refused(redis.ResponseError("WRONGTYPE")), redis.ResponseError("no"), ValueError("a mistake")])
def test_an_error_that_does_not_pass_is_raised_at_once(problem):
    server = Server(problem)
    with pytest.raises(type(problem)):
        retry_while_away(server, name="the worker", leaving=threading.Event(), leave_s=0)
    assert server.asked == [False]


def test_a_process_that_is_to_end_gives_up_in_time():
    leaving = threading.Event()
    leaving.set()
    began = time.monotonic()
    with pytest.raises(notify.ServerUnreachableError):
        retry_while_away(Server(*[notify.ServerUnreachableError("away")] * 1000), name="the worker", leaving=leaving, leave_s=0.3)
    assert 0.3 <= time.monotonic() - began < 3
