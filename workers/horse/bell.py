"""The bell by which a horse wakes its worker: not at the end of each short task, but at the end of some of them."""

import signal
import socket
import threading
from contextlib import suppress
from typing import Final

__all__ = ["Bell"]

MOST: Final = 4096


class Bell:
    """Wakes whoever polls it. `ring` is safe from any thread, in a signal handler, and in the processes that the worker forks."""

    def __init__(self) -> None:
        self._ringing: socket.socket | None = None
        self._heard: socket.socket | None = None
        self._rings_at_signals = False
        # Reentrant: a signal handler that rings may interrupt the thread that holds it.
        self._lock = threading.RLock()

    def open(self) -> None:
        """Make the pair of sockets, before the fork server is forked."""
        self._lock = threading.RLock()  # the processes that are forked now get one that nobody holds
        self._ringing, self._heard = socket.socketpair()
        for end in (self._ringing, self._heard):
            end.setblocking(False)

    def fileno(self) -> int:
        """Return the file number that is readable after a ring."""
        return -1 if self._heard is None else self._heard.fileno()

    def close(self) -> None:
        """Close both ends, in this process."""
        if self._rings_at_signals:
            signal.set_wakeup_fd(-1)
            self._rings_at_signals = False
        with self._lock:  # a `ring` in another thread must not write into the next file with the same number
            ends = self._ringing, self._heard
            self._ringing = self._heard = None  # first: a signal handler may interrupt this thread here
            for end in ends:
                if end is not None:
                    end.close()

    def ring_at_signals(self) -> None:
        """Ring whenever a signal comes. Without effect outside the main thread, until `close`.

        Of two signals that come together the kernel may give both to another thread, after it has chosen the main thread for one: then the
        wait of the main thread, in which alone Python handles signals, just goes on.
        """
        if self._ringing is not None and threading.current_thread() is threading.main_thread():
            signal.set_wakeup_fd(self._ringing.fileno(), warn_on_full_buffer=False)
            self._rings_at_signals = True

    def ring(self) -> None:
        """Wake the worker, or keep it from going to sleep."""
        with self._lock, suppress(OSError):  # it has rung so often that it is full
            if self._ringing is not None:
                self._ringing.send(b"!")

    def clear(self) -> None:
        """Forget that it rang."""
        if self._heard is not None:
            with suppress(BlockingIOError):  # it has not rung
                self._heard.recv(MOST)
