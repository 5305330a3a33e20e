"""The worker's handle on its horse: one process that runs job after job, and can be killed at any moment."""

import logging
import math
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NoReturn, TypeAlias

from workers.errors import HorseError
from workers.horse.bell import Bell
from workers.horse.board import Board
from workers.horse.channel import Channel, Reply, Task
from workers.horse.fork_server import ForkServer
from workers.horse.inbox import Inbox
from workers.horse.loop import INTERRUPT
from workers.horse.replies import Replies
from workers.horse.serving import Death
from workers.horse.tokens import Tokens

__all__ = ["UNKNOWN", "Horse", "HorseEnd"]

HorseEnd: TypeAlias = Reply | Death

UNKNOWN: Final = Death(0, signal.SIGKILL, (0,) * 16)
"""The end that is reported if the fork server was killed, which kills the horse too."""

log = logging.getLogger(__name__)


class Horse:
    """The horse. Its process is forked for the first task, and again after it was killed, crashed or retired.

    `kill`, `interrupt` and `ring` are safe from any thread, and so is `take_back`. Call all other methods from one thread.

    Args:
        run_jobs: the main function of the process. It takes its end of the connection and never returns.
        last_will: what the fork server does if this process was killed, see there; it gets the board as well.
        prepare: called in the fork server before the first process is forked.
    """

    def __init__(
        self,
        run_jobs: Callable[[Inbox], NoReturn],
        last_will: Callable[[Sequence[bytes], Board], object] = lambda *_: None,
        *,
        prepare: Callable[[], object] = lambda: None,
    ) -> None:
        self._tokens, self._bell, self._board = Tokens(), Bell(), Board()
        self._fork_server = ForkServer(
            lambda end: run_jobs(Inbox(Channel(end), self._tokens, self._bell, self._board)),
            lambda rest: last_will(rest, self._board),
            prepare=prepare,
        )
        self._channel: Channel | None = None
        self._replies: Replies | None = None
        self._poll, self._death = select.poll(), select.poll()
        # Reentrant: a signal handler may kill the horse while the thread that it interrupts holds the lock.
        self._lock = threading.RLock()
        self.pid = 0
        """The id of the process and of its process group; 0 if there is none."""
        self.is_doomed = False
        """True once `kill` sent the process a signal. Its death may not show yet, and would hit the next task."""

    @property
    def is_lost(self) -> bool:
        """True if the fork server is gone, so that no process can be forked any more."""
        return self._fork_server.is_gone

    def find_lost(self) -> bool:
        """Look, without waiting, whether the fork server is gone. Returns `is_lost`."""
        return self._fork_server.look()

    def open(self) -> None:
        """Start the fork server, unless it runs. Call it while this process has a single thread, and again where signals are handled."""
        if not self._fork_server.is_open:
            self.open_together([self])
        self._bell.ring_at_signals()

    @staticmethod
    def open_together(horses: Sequence["Horse"]) -> None:
        """Start one fork server for several horses, each of which has a thread. Call it while this process has a single thread."""
        for horse in horses:
            horse._tokens.open()
            horse._bell.open()
        ForkServer.open_together([horse._fork_server for horse in horses])
        for horse in horses:
            horse._poll.register(horse._bell, select.POLLIN)
            for poll in (horse._poll, horse._death):
                poll.register(horse._fork_server, select.POLLIN)

    def close(self) -> None:
        """Kill the process, also in the middle of a task, and end the fork server. The horse can be opened again."""
        self.kill()
        if self._fork_server.is_open:
            self._poll.unregister(self._bell)
            for poll in (self._poll, self._death):
                poll.unregister(self._fork_server)
        self._fork_server.close()
        self._forget()
        self._tokens.close()
        self._bell.close()

    def give(self, *tasks: Task) -> None:
        """Send tasks to the horse, which has none. If there is no process, or it was killed, fork one.

        A signal may arrive just when the task for which it was meant has ended: that process gets no other task.

        Raises:
            HorseError: no process can be forked.
        """
        while True:
            channel = self._ready()
            try:
                self._send(channel, tasks)
            except OSError:  # the process died before it had a token, so no task has begun
                self.reap()
            else:
                return

    def add(self, *tasks: Task) -> bool:
        """Send more tasks to a horse that has some. Returns false if that died meanwhile: `look` will tell of that."""
        try:
            if self._channel is not None:
                self._send(self._channel, tasks)
                return True
        except OSError as exc:
            log.debug("the horse %d has died: %s", self.pid, exc)
        return False

    def _send(self, channel: Channel, tasks: Sequence[Task]) -> None:
        channel.send(*tasks)  # first: so that a horse that has taken a token need not wait
        self._tokens.give(*(task.number for task in tasks))

    def take_back(self) -> int:
        """Take back what the horse has not begun, the last tasks that it was given. Returns how many. It may begin them after `resume`."""
        return self._tokens.take_back()

    def resume(self, *numbers: int) -> None:
        """Let the horse begin tasks that were taken back, by their numbers, in their order. It drops those that it skips."""
        self._tokens.give(*numbers)

    def order(self, order: Task) -> None:
        """Send an order about a run that is performed side by side with others. If the process is dead, `look` tells of that."""
        with suppress(OSError):  # see above
            if self._channel is not None:
                self._channel.send(order)

    @property
    def begun(self) -> int:
        """The number of the last task that the process has begun."""
        return self._board.begun

    def watch(self, file: int) -> None:
        """Have `look` return as well when a file is readable, until `unwatch`."""
        self._poll.register(file, select.POLLIN)

    def unwatch(self, file: int) -> None:
        """End `watch`."""
        with suppress(KeyError):  # it is not watched
            self._poll.unregister(file)

    def ring(self) -> None:
        """End the present wait in `look`, or the next one."""
        self._bell.ring()

    def ring_always(self, value: bool) -> None:
        """Whether the horse rings at the end of every task, or only of those that say so."""
        self._board.rings_always = value

    def look(self, timeout_s: float) -> tuple[list[Reply], Death | None]:
        """Wait until the horse rings or dies, and return its replies since the last call, and its death if it died.

        Args:
            timeout_s: seconds to wait at most. There may be replies although it did not ring.
        """
        ready = {fd for fd, _ in self._poll.poll(math.ceil(timeout_s * 1000))}
        self._bell.clear()  # first: a ring from now on ends the next wait
        is_dead = self._fork_server.is_open and self._fork_server.fileno() in ready
        replies = self._read()
        if replies and replies[-1].retires:
            self.reap(ends_programs=replies[-1].ends_programs)
            is_dead = False
        return replies, self.reap() if is_dead else None

    def forget_replies(self, count: int) -> None:
        """Remove the oldest replies for good: what they say is recorded. Until then they are there for the last will."""
        if self._replies is not None:
            self._replies.forget(count)
            if self._replies.is_stuck:
                self.ring()

    def wait(self, timeout_s: float) -> HorseEnd | None:
        """Wait for the end of a single task, which rings.

        Args:
            timeout_s: seconds to wait at most.

        Returns:
            The reply, or the death of the process if it died without a reply; ``None`` if the time is over.
        """
        until = time.monotonic() + timeout_s
        while True:
            replies, death = self.look(max(0.0, until - time.monotonic()))
            self.forget_replies(len(replies))
            if replies or death is not None or time.monotonic() >= until:
                return replies[0] if replies else death

    def kill(self, signum: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the process and to all processes that it started. Safe from any thread, at any moment."""
        with self._lock:
            self.is_doomed = self.is_doomed or self.pid != 0
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
        if self._channel is not None and self.is_doomed:
            self.kill()  # it may have survived another signal, or not have met it yet
            self.reap()
        elif self._channel is not None and self._death.poll(0):
            self.reap()
        if self._channel is None:
            if not self._fork_server.is_open:
                self.open()
            pid, end = self._fork_server.fork()
            self._channel, self._replies = Channel(end), Replies(end)
            self.ring_always(False)
            with self._lock:
                self.pid, self.is_doomed = pid, False
        return self._channel

    def _read(self) -> list[Reply]:
        replies = self._replies
        if replies is None or self._channel is None:
            return []
        was_partial = replies.is_partial
        found = replies.read()
        if replies.is_partial and not was_partial:
            self._poll.register(self._channel, select.POLLIN)
        elif was_partial and not replies.is_partial:
            self._poll.unregister(self._channel)
        return found

    def reap(self, *, ends_programs: bool = True) -> Death:
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
            if self._replies is not None and self._replies.is_partial:
                self._poll.unregister(self._channel)
            self._channel.close()
            self._channel = self._replies = None
