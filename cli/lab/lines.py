"""What the demo prints: one line for each job that ended; or, with ``--lab``, the growing log that the jobs themselves print."""

import threading
from typing import Any, Final

import msgspec

from cli.output import Output, one_line
from notify import Bus, Event, Failure, Json
from workers import Job, JobNotFoundError
from workers.storage import NAME
from workers.temperature import LOG_KEY

__all__ = ["JobLines", "OrderedLogs", "Summary"]

ENDS: Final = {
    "finished": ("logged", ""),
    "stopped": ("stopped", "yellow"),
    "cancelled": ("cancelled", "magenta"),
    "failed": ("failed", "red"),
}
"""The statuses of job events that are shown, each with its word and its style."""


class Summary(msgspec.Struct):
    """The numbers of jobs by how they ended. They are printed under these names."""

    logged: int = 0
    stopped_while_running: int = 0
    cancelled_while_queued: int = 0
    ms_from_kill_to_last_stop: int | None = None


class JobLines:
    """Follows the events of the jobs, counts their ends, and prints a line for each.

    Args:
        bus: the bus of the demo.
        output: where to print.
        shows: whether to print at all; otherwise the ends are only counted.
    """

    def __init__(self, bus: Bus, output: Output, *, shows: bool) -> None:
        self._bus, self._output, self._shows = bus, output, shows
        self._began_ms: int | None = None
        self._killed_ms: int | None = None
        self.summary = Summary()

    def take(self, item: object) -> None:
        """Count and print an event; an event that was published by hand, and a gap, are ignored."""
        if not isinstance(item, Event) or item.id is None:
            return
        at_ms = int(item.id.partition("-")[0])
        if item.topic == self._bus.keys.status_topic(NAME):
            if not (isinstance(item.contents, Failure) and item.contents.fatal):
                return
            self._killed_ms = at_ms
            self._print({"status": "killed"}, f"{self._at(at_ms)}  {NAME} killed", "bold red")
            return
        self._began_ms = at_ms if self._began_ms is None else self._began_ms  # when the first job was enqueued
        if isinstance(item.contents, dict) and str(item.contents.get("status")) in ENDS:
            self._end(item.contents, at_ms)

    def _end(self, contents: dict[str, Any], at_ms: int) -> None:
        status, summary, after_ms = str(contents["status"]), self.summary, None
        why = contents.get("reason") or ""
        if status == "finished":
            summary.logged += 1
        elif status == "stopped":
            summary.stopped_while_running += 1
            after_ms = None if self._killed_ms is None else at_ms - self._killed_ms
            summary.ms_from_kill_to_last_stop = after_ms
            why = "while it ran" if after_ms is None else f"while it ran, {after_ms} ms after the kill"
        elif status == "cancelled":
            summary.cancelled_while_queued += 1
            why = "before it started"
        word, style = ENDS[status]
        if self._shows:
            job = str(contents.get("job"))
            reading = self._reading_of(job)
            text = f"{self._at(at_ms)}  {word:<9}  job {job[:8]}  {one_line(reading)}{f': {why}' if why else ''}"
            self._print({"job": job, "status": word, "reading": reading, "after_ms": after_ms}, text, style)

    def _reading_of(self, job_id: str) -> str:
        """Return the text of the reading that a job logs, which is its second argument."""
        try:
            return str(Job.fetch(job_id, connection=self._bus.redis).args[1])
        except (JobNotFoundError, IndexError):
            return "?"

    def _at(self, at_ms: int) -> str:
        return f"{(at_ms - (self._began_ms or at_ms)) / 1000:5.1f} s"

    def _print(self, record: dict[str, Json], text: str, style: str) -> None:
        if self._shows:
            self._output.record(record, text, style=style)


class OrderedLogs:
    """Prints the logs in order, although several workers write them at the same time. The n-th log holds n readings.

    Args:
        output: where to print.
        shows: whether to print the logs; other lines of the workers are printed as messages in any case.
    """

    def __init__(self, output: Output, *, shows: bool) -> None:
        self._output, self._shows = output, shows
        self._waiting: dict[int, str] = {}
        self._lock = threading.Lock()
        self.count = 0

    def add(self, line: str) -> None:
        """Print a line of a worker: a log after all logs before it, any other line as a message."""
        try:
            size = len(msgspec.json.decode(line)[LOG_KEY])
        except (msgspec.DecodeError, KeyError, TypeError):
            self._output.talk(line.rstrip())
            return
        with self._lock:
            self._waiting[size] = line.rstrip()
            while self.count + 1 in self._waiting:
                self.count += 1
                self._print(self._waiting.pop(self.count))

    def flush(self) -> None:
        """Print the remaining logs. They wait for the log of a job that was stopped before it could print."""
        for size in sorted(self._waiting):
            self.count += 1
            self._print(self._waiting[size])

    def _print(self, line: str) -> None:
        if self._shows:
            self._output.line(line)
