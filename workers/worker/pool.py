"""A pool of worker processes on this machine: a process that ends is started again, and all are stopped together."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import uuid4

import msgspec

from notify.settings import Settings
from workers.errors import JobDefinitionError
from workers.fleet import LEASE_S
from workers.horse import RetireAfter

__all__ = ["Pool", "WorkerOptions"]

RESPAWN_S: Final = 1.0
"""Seconds between two starts of a worker process at least."""
POLL_S: Final = 0.05
"""Seconds to wait for the end of a process at least, also when the grace is over."""

log = logging.getLogger(__name__)


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
        log_level: the lowest level of log messages on stderr; ``INFO`` logs every job.
        name: the name of the worker; a `Pool` gives each worker its own.
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


class Pool:
    """Runs worker processes while it is open; use it as a context manager.

    Args:
        options: the options of each worker.
        size: the number of workers; by default one per core.
        stdout: the stdout of the workers, as for ``subprocess.Popen``; by default that of this process.
        environ: the environment of the workers; by default that of this process.

    Raises:
        JobDefinitionError: the size is not above 0, or there is no queue.
    """

    def __init__(
        self, options: WorkerOptions, *, size: int | None = None, stdout: int | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self.size = (os.cpu_count() or 1) if size is None else size
        if self.size < 1:
            raise JobDefinitionError(f"a worker pool has at least 1 worker, not {self.size}: give a larger size")
        if not options.queues:
            raise JobDefinitionError("a worker pool needs at least one queue: name it")
        self._options = options
        self._stdout = stdout
        self._environ = dict(os.environ if environ is None else environ)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._started_at: dict[int, float] = {}
        self._names: dict[int, str] = {}
        self._stopping = False

    @property
    def processes(self) -> Sequence[subprocess.Popen[bytes]]:
        """The worker processes. A process that was started again has replaced the one that ended."""
        return self._processes

    @property
    def names(self) -> Sequence[str]:
        """The names of the workers, as RQ lists them."""
        return [self._names[process.pid] for process in self._processes]

    def open(self) -> None:
        """Start the workers."""
        while len(self._processes) < self.size:
            self._processes.append(self._spawn())

    def check(self) -> int:
        """Restart the workers that have ended, but not in burst mode and not after `stop`.

        Returns:
            The number of workers that run.
        """
        for index, process in enumerate(self._processes):
            code = process.poll()
            if code is None or self._options.burst or self._stopping or time.monotonic() - self._started_at[process.pid] < RESPAWN_S:
                continue
            log.warning("worker process %d ended with exit code %d and is started again", process.pid, code)
            self._processes[index] = self._spawn()
        return sum(process.poll() is None for process in self._processes)

    def stop(self) -> None:
        """Tell all workers to finish their current jobs and end (SIGTERM). This does not wait for them."""
        self._stopping = True
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)

    def close(self, *, grace_s: float = 10.0) -> None:
        """Stop all workers and wait for them; those that still run after ``grace_s`` seconds are killed with their jobs."""
        self.stop()
        deadline = time.monotonic() + grace_s
        for process in self._processes:
            try:
                process.wait(max(POLL_S, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("worker process %d has not ended after %g s and is killed", process.pid, grace_s)
                process.kill()
                process.wait()

    def __enter__(self) -> "Pool":
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _spawn(self) -> subprocess.Popen[bytes]:
        options = msgspec.structs.replace(self._options, name=uuid4().hex)
        process = subprocess.Popen(
            [sys.executable, "-m", "workers", *self._options.queues],
            stdin=subprocess.PIPE,
            stdout=self._stdout,
            env=self._environ,
            # Ctrl-C in the terminal is for the program that runs the pool: it decides when the workers stop.
            start_new_session=True,
        )
        assert process.stdin is not None  # noqa: S101  # stdin is a pipe
        process.stdin.write(b"%d\n" % os.getpid() + msgspec.json.encode(options))
        process.stdin.close()
        self._started_at[process.pid] = time.monotonic()
        self._names[process.pid] = options.name
        return process
