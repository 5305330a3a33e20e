"""A pool of worker processes on this machine: a process that dies is started again, and all are stopped together."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from uuid import uuid4

import msgspec

from workers.errors import JobDefinitionError, WorkersFailedError
from workers.pool.fork_server import WorkerForkServer
from workers.pool.options import WorkerOptions
from workers.pool.process import WorkerProcess
from workers.pool.restarts import MAX_RESTARTS, WINDOW_S, Restarts
from workers.worker.end_signals import END_NOW

__all__ = ["Pool"]

POLL_S: Final = 0.05
"""Seconds to wait for the end of a process at least, also when the grace is over."""
END_S: Final = 12.0
"""Seconds that a worker may take that is told to end at once. It takes that long only if the server is away."""
TELL_S: Final = 1.0
"""Seconds for which `Pool.stop` waits until each worker has said whether it runs a job. Only a server that is away delays that."""

log = logging.getLogger(__name__)


class Pool:
    """Runs worker processes while it is open; use it as a context manager, and call `check` repeatedly.

    A worker that ends although it was not told to is started again, with pauses that grow, up to a limit. One that was told to end, by
    a signal or by ``notify workers stop``, is not.

    Args:
        options: the options of each worker.
        size: the number of workers; by default one per core.
        per_process: how many of them share a process at most. Each has a thread and a horse there, and they share memory and a fork server.
        stdout: the stdout of the workers, as for ``subprocess.Popen``; by default that of this process.
        environ: the environment of the workers; by default that of this process.
        max_restarts: how many times each worker may be started again within ``window_s`` seconds; ``None``: no limit.
        window_s: the seconds in which restarts are counted.
        server: the fork server, which the pool closes; by default one of its own, with ``environ``. The workers are forks of it.
        report: called with a sentence when a worker has ended, but only once in ``window_s`` for each reason; by default it is logged.

    Raises:
        JobDefinitionError: the size or ``per_process`` is not above 0, the limit is below 0, or there is no queue.
    """

    def __init__(
        self,
        options: WorkerOptions,
        *,
        size: int | None = None,
        per_process: int = 1,
        stdout: int | None = None,
        environ: Mapping[str, str] | None = None,
        max_restarts: int | None = MAX_RESTARTS,
        window_s: float = WINDOW_S,
        server: WorkerForkServer | None = None,
        report: Callable[[str], object] = log.warning,
    ) -> None:
        self.size = (os.cpu_count() or 1) if size is None else size
        if self.size < 1:
            raise JobDefinitionError(f"a worker pool has at least 1 worker, not {self.size}: give a larger size")
        if per_process < 1:
            raise JobDefinitionError(f"per_process is {per_process}: a process has at least 1 worker")
        if not options.queues:
            raise JobDefinitionError("a worker pool needs at least one queue: name it")
        if max_restarts is not None and max_restarts < 0:
            raise JobDefinitionError(f"max_restarts is {max_restarts}: give 0 or more, or None for no limit")
        self._options = options
        processes = -(-self.size // per_process)
        self._sizes = [self.size // processes + (number < self.size % processes) for number in range(processes)]
        """The number of workers of each process."""
        self._stdout = stdout
        self._server = WorkerForkServer(environ=dict(os.environ if environ is None else environ)) if server is None else server
        self._max_restarts, self._window_s, self._report = max_restarts, window_s, report
        self._members: list[_Member] = []
        self._reported_at: dict[str, float] = {}
        self._stopping = False

    @property
    def processes(self) -> Sequence[WorkerProcess]:
        """The worker processes. A process that was started again has replaced the one that ended."""
        return [member.process for member in self._members]

    @property
    def names(self) -> Sequence[str]:
        """The names of the workers, as RQ lists them."""
        return [name for member in self._members for name in member.process.names]

    @property
    def cut_count(self) -> int:
        """How many jobs had to end before they were done, after `close`."""
        return sum(member.process.cut_count for member in self._members)

    def open(self) -> None:
        """Start the workers."""
        for size in self._sizes[len(self._members) :]:
            self._members.append(_Member(self._spawn(size), Restarts(limit=self._max_restarts, window_s=self._window_s)))

    def check(self) -> int:
        """Start the workers again that have died, when their pause is over. Not after `stop`.

        Returns:
            The number of workers that run or will be started again: 0 when all have ended as they were told to.

        Raises:
            WorkersFailedError: a worker died more often than it may be started again.
        """
        for member in self._members:
            self._note_left(member)
            if member.process.is_running or member.is_over:
                continue
            if member.next_start_at is None:
                self._note_end(member)
            elif self._stopping:
                member.is_over = True
            elif time.monotonic() >= member.next_start_at:
                member.process, member.next_start_at = self._spawn(len(member.process.names)), None
                member.left_count = 0
        return sum(max(1, len(member.process.names) - member.left_count) for member in self._members if not member.is_over)

    def stop(self) -> None:
        """Tell all workers to finish their current jobs and end (SIGTERM). This does not wait for them."""
        self._stopping = True
        for member in self._members:
            member.process.send_signal(signal.SIGTERM)

    def count_busy(self, *, timeout_s: float = TELL_S) -> tuple[int, int]:
        """Wait, after `stop`, until every worker has said whether it still runs a job.

        Returns:
            The number of workers that run a job, and of those that have not answered in time.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            answers = [answer for member in self._members for answer in member.process.busy]
            if None not in answers or time.monotonic() > deadline:
                return answers.count(True), answers.count(None)
            time.sleep(POLL_S / 10)

    def close(self, *, grace_s: float | None = None) -> None:
        """Stop all workers, and wait until their jobs have finished.

        Args:
            grace_s: seconds after which workers that still run are told to end at once; ``None``: wait as long as it takes. They end
                the processes of their jobs: a job with a retry left is queued again, any other fails.
        """
        self.stop()
        if not self._wait(grace_s):
            for member in self._members:
                member.process.send_signal(END_NOW)
            if not self._wait(END_S):
                for member in self._members:
                    self._kill(member.process)
        for member in self._members:
            member.process.close()
        self._server.close()

    def _wait(self, timeout_s: float | None) -> bool:
        """Wait until all workers have ended. Returns whether they have."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            for member in self._members:
                member.process.wait(None if deadline is None else max(POLL_S, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True

    def _kill(self, process: WorkerProcess) -> None:
        if process.poll() is None:
            self._report(f"worker process {process.pid} has not ended after {END_S:g} s and is killed; its job ends when its lease is over")
            process.kill()
            process.wait()

    def __enter__(self) -> "Pool":
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(grace_s=None if kind is None else 0.0)

    def _note_left(self, member: "_Member") -> None:
        """Report the workers that have ended as they were told to, while others of their process go on."""
        left = member.process.left
        for name in left[member.left_count :]:
            if not self._stopping and not self._options.burst and not member.is_over:
                self._report(f"worker {name} was told to end, and is not started again")
        member.left_count = len(left)

    def _note_end(self, member: "_Member") -> None:
        """Decide whether a worker that has ended is started again, and report why it ended."""
        ended = member.process
        ended.close()
        member.is_over = self._stopping or ended.ended_in_order
        if member.is_over:
            if not self._stopping and not self._options.burst and len(ended.names) == 1:  # of several each has been reported
                self._report(f"worker {ended.names[0]} was told to end, and is not started again")
            return
        reason = ended.why_it_ended
        pause_s = member.restarts.next_pause()
        if pause_s is None:
            raise WorkersFailedError(
                f"a worker ended although it was not told to, and was started again {self._max_restarts} times within "
                f"{self._window_s:g} s: {reason}"
            )
        member.next_start_at = max(time.monotonic(), ended.started_at + pause_s)
        last_at, self._reported_at[reason] = self._reported_at.get(reason), time.monotonic()
        if last_at is None or time.monotonic() - last_at > self._window_s:
            self._report(f"a worker ended although it was not told to, and is started again: {reason}")

    def _spawn(self, size: int) -> WorkerProcess:
        path = tuple(dict.fromkeys(map(os.path.abspath, [*self._options.path, *sys.path, ""])))
        names = tuple(uuid4().hex for _ in range(size))
        options = msgspec.structs.replace(self._options, name=names[0], names=names if size > 1 else (), path=path)
        return WorkerProcess(options, server=self._server, stdout=self._stdout, is_only=len(self._sizes) == 1)


class _Member:
    """The place of a worker in the pool: its current process, and its restarts."""

    def __init__(self, process: WorkerProcess, restarts: Restarts) -> None:
        self.process = process
        self.restarts = restarts
        self.next_start_at: float | None = None
        """When it is started again; ``None`` while it runs."""
        self.is_over = False
        """True if it is not started again."""
        self.left_count = 0
        """How many of its workers have ended as they were told to, while others go on."""
