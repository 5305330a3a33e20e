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

    def open(self) -> None:
        """Make the pair of sockets, before the fork server is forked."""
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
        for end in (self._ringing, self._heard):
            if end is not None:
                end.close()
        self._ringing = self._heard = None

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
        ringing = self._ringing
        if ringing is not None:
            with suppress(OSError):  # it has rung so often that it is full, or was closed just now
                ringing.send(b"!")

    def clear(self) -> None:
        """Forget that it rang."""
        if self._heard is not None:
            with suppress(BlockingIOError):
                self._heard.recv(MOST)
