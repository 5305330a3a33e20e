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
from workers.horse.fork_server import Death, ForkServer
from workers.horse.loop import INTERRUPT

__all__ = ["UNKNOWN", "Horse", "HorseEnd"]

HorseEnd: TypeAlias = Reply | Death

UNKNOWN: Final = Death(0, signal.SIGKILL, (0,) * 16)
"""The end to report when the fork server was killed, and took the horse with it."""

log = logging.getLogger(__name__)


class Horse:
    """The horse, which is forked when the first task is given, and again after it was killed, crashed or retired.

    `kill` and `interrupt` are safe from any thread; all else is for one thread.

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

    @property
    def is_lost(self) -> bool:
        """True if no process can be forked any more: the fork server is gone."""
        return self._fork_server.is_gone

    def open(self) -> None:
        """Start the fork server. Call it while this process has a single thread."""
        self._fork_server.open()
        self._poll.register(self._fork_server, select.POLLIN)

    def close(self) -> None:
        """Kill the process, whatever it does, and end the fork server. The horse can be opened again."""
        self.kill()
        if self._fork_server.is_open:
            self._poll.unregister(self._fork_server)
        self._fork_server.close()
        self._forget()

    def give(self, task: Task) -> None:
        """Send a task to the horse; the one before must have ended. A process is forked if there is none.

        Raises:
            HorseError: no process can be forked.
        """
        while True:
            channel = self._ready()
            try:
                return channel.send(task)
            except OSError:  # it died just now, and had too little of the message to begin
                self._reap()

    def wait(self, timeout_s: float) -> HorseEnd | None:
        """Wait for the end of the task.

        Args:
            timeout_s: seconds to wait at most.

        Returns:
            The reply, or how the process died without one; ``None`` if the time is over.
        """
        while True:
            ready = {fd for fd, _ in self._poll.poll(math.ceil(timeout_s * 1000))}
            if not ready:
                return None
            if self._channel is None or self._channel.fileno() not in ready:
                return self._reap()  # not by the socket alone: a program that the job started may hold that open
            try:
                reply = self._channel.take(Reply)
            except EOFError:
                return self._reap()
            if reply is not None:
                if reply.retires:
                    self._reap()
                return reply

    def kill(self, signum: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the process and to all that it started. Safe from any thread, at any moment."""
        self._signal(os.killpg, signum)

    def interrupt(self) -> None:
        """Raise `JobStopped` in the job. Safe from any thread, at any moment."""
        self._signal(os.kill, INTERRUPT)

    def _signal(self, send: Callable[[int, int], None], signum: signal.Signals) -> None:
        with self._lock:  # the process is reaped under it, and until then no other one can get its id
            if self.pid:
                try:
                    send(self.pid, signum)
                except (ProcessLookupError, PermissionError):
                    log.debug("the horse %d has ended already", self.pid)

    def _ready(self) -> Channel:
        """Return a channel with a living process at the other end."""
        if self._channel is not None and self._poll.poll(0):
            self._reap()
        if self._channel is None:
            if not self._fork_server.is_open:
                self.open()
            pid, end = self._fork_server.fork()
            self._channel = Channel(end)
            self._poll.register(self._channel, select.POLLIN)
            with self._lock:
                self.pid = pid
        return self._channel

    def _reap(self) -> Death:
        try:
            self._fork_server.wait()
            with self._lock:
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
