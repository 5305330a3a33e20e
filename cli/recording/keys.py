"""Single keys of a person at a terminal."""

import os
import select
import sys
import termios
import tty
from typing import Any

__all__ = ["KeyReader"]


class KeyReader:
    """Reads keys without Enter, if stdin is a terminal that this command may read. Use it as a context manager."""

    def __init__(self) -> None:
        self._descriptor = -1
        self._before: Any = None

    @property
    def is_open(self) -> bool:
        """Whether there is a terminal."""
        return self._descriptor >= 0

    def pressed(self, timeout_s: float) -> str:
        """Return the next key, or an empty text if none came in time. Only while it is open."""
        if not select.select([self._descriptor], [], [], timeout_s)[0]:
            return ""
        data = os.read(self._descriptor, 1)
        if not data:  # the terminal has gone
            self.close()
        return data.decode(errors="replace")

    def close(self) -> None:
        """Set the terminal back."""
        if self._before is not None:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)
        self._descriptor, self._before = -1, None

    def __enter__(self) -> "KeyReader":
        try:
            descriptor = sys.stdin.fileno()
            if os.isatty(descriptor) and _is_in_foreground(descriptor):
                self._before = termios.tcgetattr(descriptor)
                self._descriptor = descriptor
                tty.setcbreak(descriptor, termios.TCSADRAIN)
        except (OSError, ValueError, termios.error):  # stdin is closed, or no file
            self._descriptor = -1
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _is_in_foreground(descriptor: int) -> bool:
    """Return whether this process may use a terminal; one in the background would be suspended."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:  # it is not the terminal of this session, which suspends nobody
        return True
