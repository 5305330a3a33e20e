"""The worker's handle on its horse: one process that runs job after job, and can be killed at any moment."""

import logging
import math
import os
import select
import signal
import threading
from collections.abc import Callable
from typing import Final, NoReturn, TypeAlias

from workers.errors import HorseError
from workers.horse.channel import Channel, Reply, Task
from workers.horse.fork_server import ForkServer
from workers.horse.loop import INTERRUPT
from workers.horse.serving import Death

__all__ = ["UNKNOWN", "Horse", "HorseEnd"]

HorseEnd: TypeAlias = Reply | Death

UNKNOWN: Final = Death(0, signal.SIGKILL, (0,) * 16)
"""The end that is reported if the fork server was killed, which kills the horse too."""

log = logging.getLogger(__name__)


class Horse:
    """The horse. Its process is forked for the first task, and again after it was killed, crashed or retired.

    `kill` and `interrupt` are safe from any thread. Call all other methods from one thread.

    Args:
        run_jobs: the main function of the process. It takes its end of the channel and never returns.
    """

    def __init__(self, run_jobs: Callable[[Channel], NoReturn]) -> None:
        self._fork_server = ForkServer(lambda end: run_jobs(Channel(end)))
        self._channel: Channel | None = None
        self._poll = select.poll()
        # Reentrant: a signal handler may kill the horse while the thread that it interrupts holds the lock.
        self._lock = threading.RLock()
        self.pid = 0
        """The id of the process and of its process group; 0 if there is none."""
        self._is_doomed = False
        """True once `kill` sent the process a signal. Its death may not show yet, and would hit the next task."""

    @property
    def is_lost(self) -> bool:
        """True if the fork server is gone, so that no process can be forked any more."""
        return self._fork_server.is_gone

    def open(self) -> None:
        """Start the fork server. Call it while this process has a single thread."""
        self._fork_server.open()
        self._poll.register(self._fork_server, select.POLLIN)

    def close(self) -> None:
        """Kill the process, also in the middle of a task, and end the fork server. The horse can be opened again."""
        self.kill()
        if self._fork_server.is_open:
            self._poll.unregister(self._fork_server)
        self._fork_server.close()
        self._forget()

    def give(self, task: Task) -> None:
        """Send a task to the horse, whose last task must have ended. If there is no process, or it was killed, fork one.

        A signal may arrive just when the task for which it was meant has ended: that process gets no other task.

        Raises:
            HorseError: no process can be forked.
        """
        while True:
            channel = self._ready()
            try:
                return channel.send(task)
            except OSError:  # the process died before it had the whole message, so the task has not begun
                self._reap()

    def wait(self, timeout_s: float) -> HorseEnd | None:
        """Wait for the end of the task.

        Args:
            timeout_s: seconds to wait at most.

        Returns:
            The reply, or the death of the process if it died without a reply; ``None`` if the time is over.
        """
        while True:
            ready = {fd for fd, _ in self._poll.poll(math.ceil(timeout_s * 1000))}
            if not ready:
                return None
            if self._channel is None or self._channel.fileno() not in ready:
                return self._reap()  # the channel may not show the death: a program that the job started may hold its socket open
            try:
                reply = self._channel.take(Reply)
            except EOFError:
                return self._reap()
            if reply is not None:
                if reply.retires:
                    self._reap(ends_programs=reply.ends_programs)
                return reply

    def kill(self, signum: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the process and to all processes that it started. Safe from any thread, at any moment."""
        with self._lock:
            self._is_doomed = self._is_doomed or self.pid != 0
            self._signal(os.killpg, signum)

    def interrupt(self) -> None:
        """Raise `JobStopped` in the job. Safe from any thread, at any moment."""
        self._signal(os.kill, INTERRUPT)

    def _signal(self, send: Callable[[int, int], None], signum: signal.Signals) -> None:
        with self._lock:  # `_reap` takes it too: before that no other process can get the process id
            if self.pid:
                try:
                    send(self.pid, signum)
                except (ProcessLookupError, PermissionError):
                    log.debug("the horse %d has ended already", self.pid)

    def _ready(self) -> Channel:
        """Return the channel to a living process. If there is none, fork one."""
        if self._channel is not None and self._is_doomed:
            self.kill()  # it may have survived another signal, or not have met it yet
            self._reap()
        elif self._channel is not None and self._poll.poll(0):
            self._reap()
        if self._channel is None:
            if not self._fork_server.is_open:
                self.open()
            pid, end = self._fork_server.fork()
            self._channel = Channel(end)
            self._poll.register(self._channel, select.POLLIN)
            with self._lock:
                self.pid, self._is_doomed = pid, False
        return self._channel

    def _reap(self, *, ends_programs: bool = True) -> Death:
        """Wait for the death of the process, reap it, and close the channel to it.

        Args:
            ends_programs: whether to kill what is left of its process group, the programs that its job started: they must not go on
                when the job has been killed, as they do not after a stop.
        """
        try:
            self._fork_server.wait()
            with self._lock:
                if ends_programs:
                    self.kill()
                self.pid = 0
                return self._fork_server.reap()
        except HorseError as exc:
            log.error("%s", exc)
            self.kill()
            return UNKNOWN
        finally:
            self._forget()

    def _forget(self) -> None:
        self.pid = 0
        if self._channel is not None:
            self._poll.unregister(self._channel)
            self._channel.close()
            self._channel = None
