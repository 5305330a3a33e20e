"""Jobs that end while the server may be away, and callbacks that count how often they are called in a file."""

import os
import threading
from pathlib import Path
from typing import Any, NoReturn

from rq import Retry
from rq.timeouts import JobTimeoutException

from tests.support.sample_jobs import WAIT_S, count, note
from workers import job


def write(folder: str, name: str) -> None:
    """Add a letter to a file, which works while the server is away."""
    with Path(folder, name).open("a") as file:
        file.write("x")


def await_file(folder: str, name: str) -> None:
    for _ in range(WAIT_S * 200):
        if Path(folder, name).exists():
            return
        threading.Event().wait(0.005)
    raise TimeoutError(name)


@job("work")
def succeed_later(folder: str) -> str:
    write(folder, "begun")
    await_file(folder, "go")
    write(folder, "done")
    return "done"


@job("work")
def fail_later(folder: str) -> NoReturn:
    succeed_later(folder)
    raise RuntimeError("the true error")


@job("work")
def retry_later(folder: str) -> Retry | str:
    again = Path(folder, "done").exists()
    succeed_later(folder)
    return "done" if again else Retry(max=1)


@job("work")
def time_out_later(folder: str) -> NoReturn:
    """End as at its timeout."""
    succeed_later(folder)
    raise JobTimeoutException("the timeout is over")


@job("work")
def fail_once(folder: str) -> str:
    again = Path(folder, "done").exists()
    succeed_later(folder)
    if not again:
        raise RuntimeError("the true error")
    return "done"


@job("work")
def on_stopped(stopped: Any, _connection: Any) -> None:
    write(stopped.args[0], "on_stopped")


@job("work")
def on_success(done: Any, _connection: Any, _result: Any) -> None:
    write(done.args[0], "on_success")


@job("work")
def on_failure(failed: Any, _connection: Any, kind: type[BaseException], error: BaseException, _traceback: Any) -> None:
    write(failed.args[0], "on_failure")
    Path(failed.args[0], "error").write_text(f"{kind.__name__}: {error}")


@job("work")
def hold_in(folder: str, name: str = "x") -> None:
    """Run until the file ``go`` is there."""
    note(f"{name}:pid", os.getpid())
    count(f"{name}:begun")
    await_file(folder, "go")
    write(folder, "done")
