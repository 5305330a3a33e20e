"""What a worker process tells the pool that started it, through a pipe: whether it still runs a job, and how it ends."""

import os
from contextlib import suppress
from typing import Final, Literal

import msgspec

__all__ = ["Notice", "NoticeReader", "NoticeWriter"]

MAX_LETTERS: Final = 3000
"""The longest text of a notice: a line that fits into the pipe is written in one piece, and does not block."""
CHUNK: Final = 65_536


class Notice(msgspec.Struct, frozen=True):
    """A message of a worker process.

    Args:
        kind: ``busy`` or ``idle``: a worker was told to end, and runs a job or not; ``left``: it has ended as it was told to, and others
            of its process go on; ``ended``: the process ends as it was told to; ``failed``: it ends because of an error.
        reason: the error in a line.
        detail: the traceback of an error that was not expected.
        cut_count: how many jobs the workers of the process ended because they were told to end at once.
        worker: the name of the worker of which ``busy``, ``idle`` or ``left`` tells.
    """

    kind: Literal["busy", "idle", "left", "ended", "failed"]
    reason: str = ""
    detail: str = ""
    cut_count: int = 0
    worker: str = ""


class NoticeWriter:
    """The end of the worker process.

    Args:
        fd: the number of the file that the pool reads.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        os.set_inheritable(fd, False)  # the programs that jobs start have no use for it

    def write(self, notice: Notice) -> None:
        """Tell the pool. Without effect if the pool is gone; safe in a signal handler."""
        short = Notice(notice.kind, notice.reason[:MAX_LETTERS], notice.detail[-MAX_LETTERS:], notice.cut_count, notice.worker)
        with suppress(OSError):  # see above
            os.write(self._fd, msgspec.json.encode(short) + b"\n")


class NoticeReader:
    """The end of the pool. `read` never blocks.

    Args:
        fd: the file to read; the reader owns it from now on.
    """

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._buffer = b""
        self.is_over = False
        """Whether nobody can write any more: the worker and its horse have ended."""
        self.busy: dict[str, bool] = {}
        """Which workers, by name, that were told to end run a job; without those that have not said so."""
        self.left: list[str] = []
        """The workers that have ended as they were told to, while others of the process go on."""
        self.end: Notice | None = None
        """How the worker ends; ``None`` if it has not said so."""

    def read(self) -> None:
        """Read what the worker has written meanwhile."""
        if self._fd < 0:
            return
        with suppress(OSError):  # nothing is there
            while chunk := os.read(self._fd, CHUNK):
                self._buffer += chunk
            self.is_over = True
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            with suppress(msgspec.DecodeError):  # a job wrote into the file
                self._note(msgspec.json.decode(line, type=Notice))

    def close(self) -> None:
        """Read the last notices, and close the file."""
        self.read()
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _note(self, notice: Notice) -> None:
        if notice.kind in ("busy", "idle", "left"):
            self.busy[notice.worker] = notice.kind == "busy"
            if notice.kind == "left":
                self.left.append(notice.worker)
        else:
            self.end = notice
