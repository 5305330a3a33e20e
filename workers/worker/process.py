"""One worker process of a pool: its start, what it tells, and why it ended."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping

import msgspec

from notify.process import own_command
from notify.settings import Settings
from workers.fleet import LEASE_S
from workers.horse import RetireAfter
from workers.worker.notice import NoticeReader

__all__ = ["WorkerOptions", "WorkerProcess"]


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a worker process. They are passed through a pipe, so that no password shows in the list of processes.

    Args:
        settings: the settings of the connection; ``url`` must be set.
        queues: the names of the queues, in the order of their priority.
        modules: the modules whose jobs may run.
        burst: whether to end when the queues are empty.
        retire: when the process that runs the jobs is replaced by a new one.
        lease_s: seconds that the worker may be silent before another worker takes it for dead.
        skip_foreign: whether pickled jobs of plain RQ stay in the queue, for RQ's own workers.
        log_level: the lowest level of log messages on stderr, also of those of the jobs; ``INFO`` logs the start and end of every job.
        name: the name of the worker; a `Pool` gives each worker its own.
        path: folders in which modules are searched after all others; a `Pool` adds its own ``sys.path`` and the current folder.
    """

    settings: Settings
    queues: tuple[str, ...]
    modules: tuple[str, ...]
    burst: bool = False
    retire: RetireAfter = RetireAfter()
    lease_s: float = LEASE_S
    skip_foreign: bool = False
    log_level: str = "WARNING"
    name: str = ""
    path: tuple[str, ...] = ()


class WorkerProcess:
    """A worker process. The constructor starts it.

    Args:
        options: the options, with the name of the worker.
        stdout: as for ``subprocess.Popen``.
        environ: its environment.
    """

    def __init__(self, options: WorkerOptions, *, stdout: int | None, environ: Mapping[str, str]) -> None:
        self.name = options.name
        reading, writing = os.pipe()
        self._notices = NoticeReader(reading)
        try:
            self.popen = process = subprocess.Popen(
                own_command("workers", *options.queues),
                stdin=subprocess.PIPE,
                stdout=stdout,
                env=dict(environ),
                pass_fds=[writing],
                # Ctrl-C in the terminal is for the program that runs the pool: it decides when the workers stop.
                start_new_session=True,
            )
        finally:
            os.close(writing)
        self.started_at = time.monotonic()
        assert process.stdin is not None  # noqa: S101  # stdin is a pipe
        try:
            process.stdin.write(b"%d %d\n" % (os.getpid(), writing) + msgspec.json.encode(options))
            process.stdin.close()
        except BrokenPipeError:  # it died at once: the pool finds out why
            process.stdin.close()

    @property
    def is_running(self) -> bool:
        return self.popen.poll() is None

    @property
    def is_busy(self) -> bool | None:
        """Whether it runs a job after it was told to end; ``None`` if it has not said so yet."""
        if not self.is_running:
            return False
        self._notices.read()
        return self._notices.is_busy

    @property
    def ended_in_order(self) -> bool:
        """Whether it has ended as it was told to: by a signal, by a command, or by the end of a burst."""
        self._notices.read()
        end = self._notices.end
        return self.popen.returncode == 0 and end is not None and end.kind == "ended"

    @property
    def has_cut(self) -> bool:
        """Whether it ended a job because it was told to end at once, or was killed."""
        self._notices.read()
        end = self._notices.end
        return end.has_cut if end is not None else self.popen.returncode == -signal.SIGKILL

    @property
    def why_it_ended(self) -> str:
        """The reason in words, when it has ended."""
        self._notices.read()
        end, code = self._notices.end, self.popen.returncode
        if end is not None and end.kind == "failed":
            return f"{end.reason}\n{end.detail}".strip()
        if code is not None and code < 0:
            return f"it was killed by signal {-code} ({signal.Signals(-code).name})"
        return f"its process exited with code {code}, without a reason"

    def send_signal(self, signum: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.is_running:
            self.popen.send_signal(signum)

    def close(self) -> None:
        """Close the pipe, after the end of the process."""
        self._notices.close()
