"""The horse of a worker: one process that runs job after job, and that can be killed at any moment."""

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
"""How it died when what forked it was killed: with it."""

log = logging.getLogger(__name__)


class Horse:
    """A child process, forked when it is needed first, and again after it was killed, crashed or retired.

    All but `kill` and `interrupt` is for one thread.

    Args:
        ride: what it does with its end of the channel; it never returns.
    """

    def __init__(self, run_jobs: Callable[[Channel], NoReturn]) -> None:
        self._fork_server = ForkServer(lambda end: run_jobs(Channel(end)))
        self._channel: Channel | None = None
        self._poll = select.poll()
        # A signal handler may kill it while its own thread holds the lock.
        self._lock = threading.RLock()
        self.pid = 0
        """Its process id, and that of its process group; 0 if there is none."""

    @property
    def is_lost(self) -> bool:
        """Whether there can be no other one: what forks it is gone."""
        return self._fork_server.is_gone

    def open(self) -> None:
        """Prepare to fork, while this process has a single thread."""
        self._fork_server.open()
        self._poll.register(self._fork_server, select.POLLIN)

    def close(self) -> None:
        """End it, whatever it does. It can be opened again."""
        self.kill()
        if self._fork_server.is_open:
            self._poll.unregister(self._fork_server)
        self._fork_server.close()
        self._forget()

    def give(self, task: Task) -> None:
        """Let it do a run; it must have nothing else to do.

        Raises:
            HorseError: no process can be had.
        """
        while True:
            channel = self._ready()
            try:
                return channel.send(task)
            except OSError:  # it died just now; what it has got of the message is not enough to start
                self._reap()

    def wait(self, timeout_s: float) -> HorseEnd | None:
        """Wait for the end of the run.

        Args:
            timeout_s: for how long.

        Returns:
            Its reply, or how it died without one; ``None`` if it is still at it.
        """
        while True:
            ready = {fd for fd, _ in self._poll.poll(math.ceil(timeout_s * 1000))}
            if not ready:
                return None
            if self._channel is None or self._channel.fileno() not in ready:
                return self._reap()  # what it started may hold its socket open
            try:
                reply = self._channel.take(Reply)
            except EOFError:
                return self._reap()
            if reply is not None:
                if reply.retires:
                    self._reap()
                return reply

    def kill(self, signum: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to it and to all that it started. Safe from any thread, at any moment."""
        self._signal(os.killpg, signum)

    def interrupt(self) -> None:
        """Raise `JobStopped` in its job. Safe as `kill` is."""
        self._signal(os.kill, INTERRUPT)

    def _signal(self, send: Callable[[int, int], None], signum: signal.Signals) -> None:
        with self._lock:  # under which it is reaped: until then its process id is its own
            if self.pid:
                try:
                    send(self.pid, signum)
                except (ProcessLookupError, PermissionError):
                    log.debug("the horse %d is gone already", self.pid)

    def _ready(self) -> Channel:
        """Its channel, with a living horse at the other end."""
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
