"""The jobs of the chaos. Each run notes its steps in a file, a line at a time, so that no fault of Redis can hide them."""

import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

import msgspec
import redis

from notify import FencedError, ServerError
from workers import current_bus, current_job, job

__all__ = ["JOURNAL", "STATE", "Step", "fail", "read_journal", "work"]

JOURNAL: Final = "NOTIFY_CHAOS_JOURNAL"
"""The environment variable with the path of the file."""
STATE: Final = "chaos"
"""The state to which every run writes, fenced: a list of [run, ms by the server's clock before the write] for each job."""


class Step(msgspec.Struct, frozen=True, array_like=True):
    """A step of a run: ``begun``, ``done`` (it will return), ``raising`` or ``refused`` (its write was refused)."""

    what: str
    job: str
    run: str


@job("chaos")
def work(seconds: float) -> str:
    """Wait, write to the state, and return the run."""
    run = uuid4().hex
    _note("begun", run)
    threading.Event().wait(seconds)
    try:
        _write(run)
    except FencedError:
        _note("refused", run)
        raise
    _note("done", run)
    return run


@job("chaos")
def fail(seconds: float) -> None:
    """Wait, and raise."""
    run = uuid4().hex
    _note("begun", run)
    threading.Event().wait(seconds)
    _note("raising", run)
    raise RuntimeError("this job always fails")


def read_journal(path: Path) -> list[Step]:
    """Return all steps in their order."""
    return [msgspec.json.decode(line, type=Step) for line in path.read_bytes().splitlines()]


def _write(run: str) -> None:
    """Append to the state, for as long as the server is away."""
    while True:
        with suppress(ServerError, redis.ConnectionError, redis.TimeoutError):
            seconds, microseconds = current_bus().redis.time()
            current_bus().state(STATE).append(current_job().id, [run, seconds * 1000 + microseconds // 1000])
            return
        threading.Event().wait(0.05)


def _note(what: str, run: str) -> None:
    line = json.dumps([what, current_job().id, run]).encode() + b"\n"
    descriptor = os.open(os.environ[JOURNAL], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)  # one write at the end of the file: whole, or not there
    finally:
        os.close(descriptor)
