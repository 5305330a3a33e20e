"""The log of a worker process: a line for the start and the end of each job, and what the jobs themselves log."""

import logging
import os
import sys
from collections.abc import Callable
from traceback import walk_tb
from typing import Any, Final

from notify.process import JsonFormatter, SafeFormatter, log_to_stderr, printable
from workers.errors import JobError
from workers.jobs import reason_in
from workers.rq import DeserializationError
from workers.scripts import Run
from workers.worker.job_context import FIELDS, JobContext, fields_of
from workers.worker.job_log import JobLogHandler

__all__ = ["JOBS", "configure_logging", "log_end", "log_start"]

JOBS: Final = "workers.jobs"
"""The logger of the lines about jobs."""
COLOURS: Final = {logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m", logging.CRITICAL: "\x1b[31m"}
KILLED: Final = "Work horse killed for job"
"""The beginning of RQ's message about that."""
RAISED: Final = "exception raised while executing"
"""What RQ's message says with the traceback of an error of a job."""
OURS: Final = frozenset({"rq", "workers"})
"""The packages whose code runs between the worker and the function of a job."""
PLAIN: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"

log = logging.getLogger(JOBS)


def configure_logging(level: str, *, form: str = "text", job_logs: str = "") -> None:
    """Send the log of this process, and of the horses that it forks, to stderr.

    A terminal gets short lines, and colours unless ``$NO_COLOR`` is set; a file or pipe gets date, level and logger in each line. The
    lines that RQ itself writes about each job are left out below ``DEBUG``, because they say the same. A fork of a process that has done
    it does nothing: a new level clears the cache of each logger, which costs a fork a MiB of memory.

    Args:
        level: the lowest level, such as ``INFO``. RQ's code must be called without one, or it would set that of its loggers again.
        form: ``text``, or ``json`` for one JSON object in each line.
        job_logs: the lowest level of what is published of the log of a job; empty: nothing.
    """
    is_terminal, root = sys.stderr.isatty(), logging.getLogger()
    done = f"{level} {form} {job_logs} {is_terminal}"
    if any(each.name == done for each in root.handlers):
        return
    formatter = JsonFormatter() if form == "json" else _TerminalFormatter() if is_terminal else _FileFormatter()
    log_to_stderr(formatter, level=level, context=JobContext())
    for handler in root.handlers:
        if handler.formatter is formatter:  # else the log goes somewhere else
            handler.name = done
    if job_logs:
        _publish_job_logs(job_logs)
    if level != "DEBUG":
        logging.getLogger("rq.worker").addFilter(_is_news)
    for name in ("rq.worker", "rq.job"):
        logger, rq_level = logging.getLogger(name), "WARNING" if level == "INFO" else level
        if logging.getLevelName(logger.level) != rq_level:
            logger.setLevel(rq_level)


def _publish_job_logs(level: str) -> None:
    """Publish what jobs log from a level on, also what is not shown on stderr."""
    root = logging.getLogger()
    shown, root_level = JobLogHandler(level), root.level
    for handler in root.handlers:
        handler.setLevel(max(handler.level, root_level))
    root.addHandler(shown)
    root.setLevel(min(root_level, shown.level))


def _is_news(record: logging.LogRecord) -> bool:
    """Return false for RQ's lines about a process that was killed, and about a job that was refused: the line about its end says it."""
    message = str(record.msg)
    return not message.startswith(KILLED) and not (RAISED in message and _is_of_refusal(record.getMessage()))


def _is_of_refusal(message: str) -> bool:
    """Return whether a message ends with the error that is being handled, and that came before the function of the job was called.

    Its traceback shows how the worker looked for the function, which tells an operator nothing.
    """
    _, error, trace = sys.exc_info()
    if not isinstance(error, JobError) or not message.rstrip().endswith(str(error)):
        return False
    return all(frame.f_globals.get("__name__", "").partition(".")[0] in OURS for frame, _ in walk_tb(trace))


def log_start(job: Any, *, run: Run | None, worker: str) -> None:
    """Log that a job starts, if that is to be logged."""
    if log.isEnabledFor(logging.INFO):
        log.info("%s %s started", _function_of(job), printable(job.id), extra=fields_of(job, run=_fence(run), worker=worker))


def log_end(
    job: Any, status: str, reason: str = "", *, seconds: Callable[[], float], run: Run | None, worker: str, attempt: int = 0
) -> None:
    """Log how a run of a job ended, if that is to be logged.

    Args:
        job: the job.
        status: how it ended, such as ``finished``. A failure is a warning.
        reason: why; see `reason_in` for a traceback.
        seconds: returns how long the run took.
        run: the run, if it is known.
        worker: the name of the worker.
        attempt: the number of the attempt, if the job counts the next one already.
    """
    level = logging.WARNING if status == "failed" else logging.INFO
    if log.isEnabledFor(level):
        because = f": {printable(reason_in(reason))}" if reason.strip() else ""
        took_s = seconds()
        fields = {**fields_of(job, run=_fence(run), worker=worker), "status": status, "seconds": round(took_s, 6)}
        fields["attempt"] = attempt or fields["attempt"]
        log.log(level, "%s %s %s in %.3f s%s", _function_of(job), printable(job.id), status, took_s, because, extra=fields)


def _fence(run: Run | None) -> str:
    return "" if run is None else run.fence


def _function_of(job: Any) -> str:
    try:
        return printable(str(job.function_name))
    except (JobError, DeserializationError):
        return "(unreadable call)"


class _FileFormatter(SafeFormatter):
    """Date, level, logger and message, and of the lines of a running job which one that is."""

    def __init__(self) -> None:
        super().__init__(PLAIN)
        self._of_job = SafeFormatter(f"{PLAIN} [{' '.join(f'{name}=%({name})s' for name in FIELDS)}]")

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record) if record.name == JOBS or "job" not in vars(record) else self._of_job.format(record)


class _TerminalFormatter(SafeFormatter):
    """The time, and the message; of other loggers than that of the jobs also the level and the name."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03d %(message)s", "%H:%M:%S")
        self._other = SafeFormatter("%(asctime)s.%(msecs)03d %(levelname)s %(name)s: %(message)s", "%H:%M:%S")
        self._colours = {} if os.environ.get("NO_COLOR") else COLOURS

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record) if record.name == JOBS else self._other.format(record)
        colour = self._colours.get(record.levelno)
        return text if colour is None else f"{colour}{text}\x1b[0m"
