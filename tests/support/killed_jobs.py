"""Jobs whose process or worker is killed, and callbacks that count in Redis how often and with what they are called."""

import os
import signal
import threading
from types import TracebackType
from typing import Any, NoReturn

import redis
from rq.exceptions import AbandonedJobError

from tests.support.sample_jobs import EFFECTS, WAIT_S, count, hold, note
from workers import Job, JobAbandonedError, current_bus, job

__all__ = ["hold"]


@job("work")
def die(name: str = "x") -> None:
    count(f"{name}:begun")
    os.kill(os.getpid(), signal.SIGKILL)


@job("work")
def fail_once_then_die() -> NoReturn:
    """Raise in the first run, be killed in the second."""
    if int(current_bus().redis.hincrby(EFFECTS, "tried")) > 1:
        os.kill(os.getpid(), signal.SIGKILL)
    raise RuntimeError("it went wrong")


@job("work")
def raise_at_once() -> NoReturn:
    raise RuntimeError("it went wrong")


@job("work")
def note_failure(
    failed: Job, connection: redis.Redis, kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Record with what and where the callback was called."""
    is_known = isinstance(error, JobAbandonedError) and isinstance(error, AbandonedJobError)
    found = {
        "error": f"{is_known}: {error}",
        "job": failed.id,
        "traced": int(trace is not None),
        "horse": os.getpid(),
    }
    connection.hset(EFFECTS, mapping={f"on_failure:{name}": value for name, value in found.items()})
    current_bus().state("told")["times"] = int(connection.hincrby(EFFECTS, "on_failure"))


@job("work")
def die_on_failure(failed: Job, connection: redis.Redis, *error: Any) -> None:
    connection.hincrby(EFFECTS, "on_failure")
    os.kill(os.getpid(), signal.SIGKILL)


@job("work")
def raise_on_failure(failed: Job, connection: redis.Redis, *error: Any) -> NoReturn:
    connection.hincrby(EFFECTS, "on_failure")
    raise RuntimeError("the callback went wrong")


@job("work")
def hang_on_failure(failed: Job, connection: redis.Redis, *error: Any) -> None:
    note("on_failure:horse", os.getpid())
    connection.hincrby(EFFECTS, "on_failure")
    threading.Event().wait(WAIT_S)
