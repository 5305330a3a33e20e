"""Short jobs for batches. Each notes in Redis that it begins, in one list for all, and what the server's clock says then."""

import os
import signal
import threading
from typing import Any

from workers import Job, current_bus, current_job, job
from workers.horse import Inbox

BEGUN = "rq:test:begun"
"""List: the ids of the jobs that have begun, in that order, one entry for each run."""
TIMES = "rq:test:times"
"""Hash: job id -> the server's clock in ms when its last run began."""


@job("work")
def begin(seconds: float = 0.0, _argument: str = "", size: int = 0) -> str:
    """Note the beginning, take so long, and return a text of that size."""
    client, its_id = current_bus().redis, current_job().id
    client.rpush(BEGUN, its_id)
    now_s, now_us = client.time()
    client.hset(TIMES, its_id, now_s * 1000 + now_us // 1000)
    if seconds:
        threading.Event().wait(seconds)
    return "x" * size


@job("work")
def begin_in(path: str, seconds: float = 0.0, *, fails: int = 0) -> None:
    """Note the beginning in a file, which works while the server is away, and take so long. The first runs fail, as many as told."""
    its_id = current_job().id
    with open(path, "ab", buffering=0) as file:
        file.write(its_id.encode() + b"\n")
    if seconds:
        threading.Event().wait(seconds)
    if fails:
        with open(path, "rb") as file:
            if file.read().split(b"\n").count(its_id.encode()) <= fails:
                raise RuntimeError(f"run of process {os.getpid()} fails")


@job("work")
def begin_last() -> None:
    """Note the beginning, and let this process begin nothing more, as if it were still on its way to the next job."""
    begin()
    Inbox.take = lambda *_: threading.Event().wait()  # type: ignore[assignment,method-assign,return-value]  # it never returns


@job("work")
def kill(*pids: int) -> None:
    """Note the beginning, kill processes, or this one if none is told, and never return."""
    begin()
    for pid in pids or [os.getpid()]:
        os.kill(pid, signal.SIGKILL)
    threading.Event().wait()


@job("work")
def called_back(of: Job, *_: Any) -> None:
    """A callback: note it in the file of the job."""
    with open(of.args[0], "ab", buffering=0) as file:
        file.write(b"called " + of.id.encode() + b"\n")
