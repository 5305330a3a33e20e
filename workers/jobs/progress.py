"""The progress of a running job: its code tells how much is done, and Redis keeps the last of that."""

import math
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec

from notify.errors import ServerError
from notify.server import Client
from workers import rq_keys
from workers.errors import JobDefinitionError
from workers.scripts import Run, RunScripts

__all__ = ["Progress", "has_reported", "progress_in", "read_progress", "report_progress", "send_last_progress"]

PAUSE_S: Final = 1.0
"""The least time between two reports of a run that are sent, unless the later one is the last."""
NAMES: Final = ("progress", "fence", "stopped")
MOST_LETTERS: Final = 200
"""A longer message is cut off."""


class Progress(msgspec.Struct, frozen=True):
    """What a run said last about its progress.

    Args:
        done: how much is done.
        total: of how much; ``None`` if nobody knows.
        message: what goes on, in words; may be empty.
        at_ms: when that reached Redis, in ms of the server's clock.
    """

    done: float
    total: float | None = None
    message: str = ""
    at_ms: int = 0

    @property
    def percent(self) -> float | None:
        """How many percent are done, from 0 to 100; ``None`` if the total is not known, or is 0."""
        return None if not self.total else max(0.0, min(100.0, 100 * self.done / self.total))


class _Kept(Progress, frozen=True, kw_only=True):
    """A progress as the hash of the job holds it: with the run that reported it."""

    fence: str


class _Reports:
    """The reports of one run. Threads of the job may share them."""

    def __init__(self, job: Any) -> None:
        self._scripts = RunScripts(Client.of(job.connection))
        self._run = Run(job.id, job.fence)
        self._waiting: Progress | None = None
        self._sent_at = -math.inf
        self._reporting = threading.Lock()

    def report(self, progress: Progress) -> None:
        with self._reporting:
            self._waiting = progress
            if progress.done == progress.total or time.monotonic() - self._sent_at >= PAUSE_S:
                self._send(progress)

    def send_last(self) -> None:
        with self._reporting:
            if self._waiting is not None:
                self._send(self._waiting)

    def _send(self, progress: Progress) -> None:
        self._sent_at = time.monotonic()
        contents = {"done": progress.done, "total": progress.total, "message": progress.message}
        with suppress(ServerError):  # the job goes on while the server is away, and the next report is sent
            self._scripts.report_progress(self._run, contents)
            self._waiting = None


def report_progress(job: Any, done: float, total: float | None = None, message: str = "") -> None:
    """Report how much of the running job is done: for `JobDetails`, ``notify job show`` and ``job wait``, and as an event.

    At most one report a second is sent; the last one always is, as soon as ``done`` is ``total`` or the function has ended. While the
    server is away, nothing is sent and the job goes on. A run that was stopped, or has the job no more, changes nothing.

    Args:
        job: the job, as `current_job` returns it. In another process, and where no worker runs the job, nothing is reported.
        done: how much is done, at least 0.
        total: of how much, in the same unit; ``None`` if nobody knows.
        message: what goes on, in words; 200 letters of it are kept.

    Raises:
        JobDefinitionError: a number is none, or is below 0, or the message is no text.
    """
    _check(done, "done")
    if total is not None:
        _check(total, "total")
    if not isinstance(message, str):
        raise JobDefinitionError(f"progress(): message is {message!r:.100}: give a text")
    if not job.fence:
        return
    reports = vars(job).get("_reports") or vars(job).setdefault("_reports", _Reports(job))
    reports.report(Progress(done, total, message[:MOST_LETTERS]))


def send_last_progress(job: Any) -> None:
    """Send the last report of a run whose function has ended, if it has not been sent."""
    if has_reported(job):
        vars(job)["_reports"].send_last()


def has_reported(job: Any) -> bool:
    """Return whether this run has reported its progress: then its start may have been announced by that."""
    return "_reports" in vars(job)


def read_progress(job: Any) -> Progress | None:
    """Return what the last run of a job reported last, read from Redis; ``None`` if it reported nothing.

    Raises:
        ServerError: Redis did not answer, or refused.
    """
    client = Client.of(job.connection)
    with client.translating(f"reading job {job.id}"):
        values: Any = client.hmget(rq_keys.job(job.id), *NAMES)
    return progress_in({name.encode(): value for name, value in zip(NAMES, values, strict=True)})


def progress_in(fields: Mapping[bytes, Any]) -> Progress | None:
    """Return the progress in the hash of a job; ``None`` if its last run reported none."""
    try:
        kept = _decoder.decode(fields.get(b"progress") or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if kept.fence.encode(errors="replace") not in (fields.get(b"fence"), fields.get(b"stopped")):
        return None
    return Progress(kept.done, kept.total, kept.message[:MOST_LETTERS], kept.at_ms)


_decoder: Final = msgspec.json.Decoder(_Kept)


def _check(number: object, name: str) -> None:
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number) or number < 0:
        raise JobDefinitionError(f"progress(): {name} is {number!r:.100}: give a number of at least 0")
