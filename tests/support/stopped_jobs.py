"""Jobs that are stopped, and callbacks for that."""

import os
import signal
import sys
import threading
from typing import NoReturn

import redis

from tests.support.sample_jobs import EFFECTS, WAIT_S, count, note
from workers import Job, StopLadder, current_job, job

HERE: dict[str, str] = {}
"""Values that a job leaves in its process."""


def begin(name: str) -> None:
    HERE["name"] = name
    note(f"{name}:pid", os.getpid())
    count(f"{name}:begun")


@job("work", stop=StopLadder(flag_s=WAIT_S))
def return_on_flag(name: str) -> None:
    begin(name)
    while not current_job().stopping:
        threading.Event().wait(0.005)


@job("work", stop=StopLadder(flag_s=WAIT_S))
def fail_on_flag(name: str) -> NoReturn:
    return_on_flag(name)
    raise RuntimeError("it was stopped")


@job("work", stop=StopLadder(exception_s=WAIT_S))
def interrupted(name: str) -> None:
    begin(name)
    threading.Event().wait(WAIT_S)


@job("work")
def killed(name: str) -> None:
    begin(name)
    threading.Event().wait(WAIT_S)


@job("work", stop=StopLadder(sigterm_s=WAIT_S))
def ended_by_sigterm(name: str) -> None:
    begin(name)
    threading.Event().wait(WAIT_S)


@job("work")
def note_where(stopped: Job, connection: redis.Redis) -> None:
    """Record the process of the callback, and whether it is the process of the job."""
    connection.hset(EFFECTS, mapping={"on_stopped:pid": os.getpid(), "on_stopped:same": int(HERE.get("name") == stopped.args[0])})
    connection.hincrby(EFFECTS, "on_stopped")


@job("work")
def fail_when_stopped(stopped: Job, connection: redis.Redis) -> NoReturn:
    note_where(stopped, connection)
    raise RuntimeError("the callback went wrong")


@job("work")
def exit_when_stopped(stopped: Job, connection: redis.Redis) -> NoReturn:
    note_where(stopped, connection)
    sys.exit("the callback has had enough")


@job("work")
def leave_when_stopped(stopped: Job, connection: redis.Redis) -> NoReturn:
    note_where(stopped, connection)
    os._exit(3)


@job("work")
def die_when_stopped(stopped: Job, connection: redis.Redis) -> None:
    note_where(stopped, connection)
    os.kill(os.getpid(), signal.SIGKILL)


@job("work")
def hang_when_stopped(stopped: Job, connection: redis.Redis) -> None:
    note_where(stopped, connection)
    threading.Event().wait(WAIT_S)


@job("work")
def hang_on_when_stopped(stopped: Job, connection: redis.Redis) -> None:
    """Keep running whatever is raised."""
    note_where(stopped, connection)
    while True:
        try:
            threading.Event().wait(WAIT_S)
        except Exception:
            connection.hincrby(EFFECTS, "on_stopped:overdue")
