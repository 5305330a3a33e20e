"""The parent of worker processes as a process of its own, which has imported what workers need and nothing else.

``notify worker`` becomes it: what a command line imports, and what it did before, is no part of the memory that its workers share.
"""

import logging
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from importlib import import_module
from io import TextIOWrapper
from typing import Final, NoReturn

import msgspec

from notify import NotifyError
from notify.process import own_command, printable, write_line
from workers.horse import open_standard_files
from workers.pool.end_requests import SIGNALS
from workers.pool.exposing import serving_pool_metrics
from workers.pool.fork_server import WorkerForkServer
from workers.pool.options import WorkerOptions
from workers.pool.pool import Pool
from workers.pool.supervision import supervise
from workers.worker.logs import configure_logging

__all__ = ["PoolPlan", "become_parent", "run_parent"]

OWN_PACKAGE: Final = "workers"
RED: Final = "\x1b[31m{}\x1b[0m"


class PoolPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a parent has to know. It goes through a file without a name, so that no password shows in the list of processes.

    Args:
        options: the options of each worker.
        size, per_process, max_restarts: as for `Pool`.
        grace_s, says: as for `supervise`.
        metrics: where to serve metrics, see `serving_metrics`; empty: nowhere.
    """

    options: WorkerOptions
    size: int | None
    per_process: int
    max_restarts: int
    grace_s: float | None
    says: str
    metrics: str = ""


def become_parent(plan: PoolPlan, *, environ: Mapping[str, str], folder: str) -> NoReturn:
    """Replace the program of this process by the parent. Its process id, its open files and its terminal stay.

    Args:
        plan: what the parent is to do.
        environ, folder: the environment and the working directory of the parent: modules that were imported here may have changed those
            of this process.

    Raises:
        OSError: the program cannot be started.
    """
    file = os.memfd_create("plan") if hasattr(os, "memfd_create") else os.dup(tempfile.TemporaryFile().fileno())  # noqa: SIM115  # dup
    with open(file, "wb", closefd=False) as writing:
        writing.write(msgspec.json.encode(plan))
    os.lseek(file, 0, os.SEEK_SET)
    os.set_inheritable(file, True)
    program, *arguments = own_command("workers.pool", str(file), "notify", "worker", *plan.options.queues)
    os.chdir(folder)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until the parent handles them: one that comes now waits, and is not lost
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # typeshed leaves it out; multiprocessing uses it
    os.execve(program, [program, *flags, *arguments], environ)  # noqa: S606  # there is no shell in between


def run_parent(file: int) -> NoReturn:
    """Main function of the parent.

    Args:
        file: the number of the file with the plan, which `become_parent` has opened.
    """
    open_standard_files()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a character that the terminal cannot show must not end a job
    with open(file, "rb") as reading:
        plan = msgspec.json.decode(reading.read(), type=PoolPlan)
    options = plan.options
    configure_logging(options.log_level, form=options.log_format, job_logs=options.job_logs)  # here, and not in each of the forks
    sys.exit(_run(plan))


def _run(plan: PoolPlan) -> int:
    """Run the pool. Returns the exit code."""
    server = WorkerForkServer()
    try:
        for module in plan.options.modules:
            if module.partition(".")[0] == OWN_PACKAGE:  # those of others may open connections: each worker imports them
                import_module(module)
        server.fork()
        options = {"size": plan.size, "per_process": plan.per_process, "max_restarts": plan.max_restarts}
        pool = Pool(plan.options, server=server, report=_talk, **options)  # type: ignore[arg-type]  # mypy has one type for all three
        with serving_pool_metrics(pool, plan.metrics, plan.options.settings):
            return supervise(pool, says=plan.says, talk=_talk, grace_s=plan.grace_s)
    except NotifyError as exc:
        _talk(f"notify: {exc}", style=RED)
    except OSError as exc:
        _talk(f"notify: the operating system reported an error: {exc}", style=RED)
    except Exception:  # a fault of ours
        _talk(traceback.format_exc().rstrip("\n"))
    finally:
        server.close()
    return 1


def _talk(message: str, *, style: str = "{}") -> None:
    """Print lines on stderr. Of a message with several lines, such as a traceback, each is one."""
    if write_line(message, level=logging.ERROR if style == RED else logging.INFO):
        return
    text = "\n".join(map(printable, message.split("\n")))
    try:
        has_colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        sys.stderr.write(f"{style.format(text) if has_colour else text}\n")
        sys.stderr.flush()
    except OSError:  # there is nobody to tell it to, and the workers have other things to do
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
