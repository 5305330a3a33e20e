"""A file that grows as a source: what is appended to it, also after it was rotated or truncated."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, Literal, TypeAlias

from notify.errors import EndpointError
from notify.flows.framing import Framing
from notify.flows.lines.reader import READ_BYTES, LineSource
from notify.flows.protocol import Context, Source
from notify.settings import positive

__all__ = ["follow_file"]

LAST_LOOKS: Final = 3
"""A file that was rotated is left when it had nothing new so often: its writer may not have opened the next one yet."""

Change: TypeAlias = Literal["found", "rotated", "truncated"]
"""What has become of a file."""

log = logging.getLogger(__name__)


def follow_file(
    path: str | os.PathLike[str],
    *,
    from_start: bool = False,
    framing: Literal["lines", "json", "length"] | Framing = "lines",
    poll_s: float = 0.1,
) -> Source:
    """Return a source of the lines that are appended to a file, without an end, as ``tail -F``.

    If another file takes its place (rotation), the old one is read to its end, then the new one from its start. If it becomes shorter
    (truncation), it is read from its start. If it does not exist it is waited for. What is written and taken away again between two looks
    is not seen; half a line is waited for, and is refused if its other half cannot come any more.

    Args:
        path: the file.
        from_start: whether to begin with what is there already.
        framing: how bytes become items.
        poll_s: seconds between two looks at a file that does not grow.

    Raises:
        WiringError, SettingsError: an argument cannot be used.

    ``Flow.start`` raises `EndpointError` if the file cannot be read.
    """
    return FollowedFile(Path(path), framing, from_start=from_start, poll_s=positive(poll_s, "poll_s"))


class FollowedFile(LineSource):
    """The source that `follow_file` returns, which has the description."""

    def __init__(self, path: Path, framing: object, *, from_start: bool, poll_s: float) -> None:
        super().__init__(str(path), framing)
        self._path, self._from_start, self._poll_s = path, from_start, poll_s
        self._file: IO[bytes] | None = None

    def open(self, context: Context) -> None:
        super().open(context)
        self._file = self._opened()
        if self._file is None:
            log.warning("%s does not exist yet, and is waited for", self.what)
        elif not self._from_start:
            self._file.seek(0, os.SEEK_END)

    def __iter__(self) -> Iterator[Any]:
        decoder, looks = self._decoder(), 0
        while not self._stopping.is_set():
            data = self._read()
            if data:
                looks = 0
                yield self._decoded(decoder, data)
                continue
            change = self._change()
            looks += 1
            if change in ("truncated", "found") or (change == "rotated" and looks >= LAST_LOOKS):
                log.info("%s was %s, and is read from its start", self.what, change)
                yield self._rest(decoder)
                decoder, looks = self._decoder(), 0
                self._begin_anew(change)
                continue
            yield None
            self._stopping.wait(self._poll_s)

    def close(self) -> None:
        super().close()
        if self._file is not None:
            self._file.close()

    def _read(self) -> bytes:
        if self._file is None:
            return b""
        try:
            return self._file.read(READ_BYTES)
        except OSError as exc:
            raise EndpointError(f"{self.what} cannot be read: {exc.strerror}") from exc

    def _opened(self) -> IO[bytes] | None:
        try:
            file = open(self._path, "rb", buffering=0)  # noqa: SIM115  # it is closed by `close`, or when the next one is opened
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise EndpointError(f"{self.what} cannot be read: {exc.strerror}; check the path and the permissions") from exc
        return file

    def _change(self) -> Change | None:
        """Return what has become of the file since it was opened."""
        try:
            there = os.stat(self._path)
        except OSError:
            return None  # it was moved away, and its successor is not there yet
        if self._file is None:
            return "found"
        here = os.fstat(self._file.fileno())
        if (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino):
            return "rotated"
        return "truncated" if there.st_size < self._file.tell() else None

    def _begin_anew(self, change: Change) -> None:
        if change == "truncated" and self._file is not None:
            self._file.seek(0)
            return
        if self._file is not None:
            self._file.close()
        self._file = self._opened()
