"""Asking a server again that is away."""

import threading
import time

import pytest
import redis

import notify
from workers.worker.retry import insist


class Server:
    """Fails in given ways, then answers with what it was told about earlier tries."""

    def __init__(self, *problems: Exception) -> None:
        self.problems = list(problems)
        self.asked: list[bool] = []

    def __call__(self, again: bool) -> str:
        self.asked.append(again)
        if self.problems:
            raise self.problems.pop(0)
        return "done"


def refused(cause: Exception) -> notify.ServerRefusedError:
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
def test_what_passes_is_waited_for(problem: Exception) -> None:
    server = Server(problem, problem)
    assert insist(server, leaving=threading.Event(), leave_s=0) == "done"
    assert server.asked == [False, True, True]


@pytest.mark.parametrize("problem", [refused(redis.ResponseError("WRONGTYPE")), redis.ResponseError("no"), ValueError("a mistake")])
def test_what_does_not_pass_is_raised_at_once(problem: Exception) -> None:
    server = Server(problem)
    with pytest.raises(type(problem)):
        insist(server, leaving=threading.Event(), leave_s=0)
    assert server.asked == [False]


def test_who_is_leaving_gives_up_in_time() -> None:
    leaving = threading.Event()
    leaving.set()
    began = time.monotonic()
    with pytest.raises(notify.ServerUnreachableError):
        insist(Server(*[notify.ServerUnreachableError("away")] * 1000), leaving=leaving, leave_s=0.3)
    assert 0.3 <= time.monotonic() - began < 3
