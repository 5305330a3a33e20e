"""A plain file at either end of a flow: a source that reads it once, and a sink that writes lines to it."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from notify.errors import EndpointError, FrameError
from notify.flows.framing import Framing, LineFraming, framing_of
from notify.flows.items import Failed
from notify.flows.lines.reader import READ_BYTES, LineSource
from notify.flows.protocol import Context, Source, TakesMany

__all__ = ["read_lines", "write_lines"]


def read_lines(path: str | os.PathLike[str], *, framing: Literal["lines", "json", "length"] | Framing | None = None) -> Source:
    """Return a source of the lines of a file; it ends with the file. `follow_file` goes on with what is appended.

    Args:
        path: the file.
        framing: how bytes become items, by default lines, the last of which may come without a line break.

    Raises:
        WiringError: the framing cannot be used.

    ``Flow.start`` raises `EndpointError` if the file cannot be opened.
    """
    return FileRead(Path(path), LineFraming(partial="keep") if framing is None else framing)


def write_lines(
    path: str | os.PathLike[str], *, append: bool = True, framing: Literal["lines", "json", "length"] | Framing = "lines"
) -> TakesMany:
    """Return a sink that writes each item to a file, as a line. The operating system has an item when the sink has taken it.

    If the file cannot be written, as on a full disk, the items of that write go the way of errors, and nothing of them is in the file:
    with ``on_error=retry(...)`` they are written when there is room again.

    Args:
        path: the file; it is created.
        append: whether to keep what is in it.
        framing: how items become bytes.

    Raises:
        WiringError: the framing cannot be used.

    ``Flow.start`` raises `EndpointError` if the file cannot be opened.
    """
    return FileWrite(Path(path), framing_of(framing), append)


class FileRead(LineSource):
    """The source that `read_lines` returns, which has the description."""

    def __init__(self, path: Path, framing: object) -> None:
        super().__init__(str(path), framing)
        self._path = path
        self._file = -1

    def open(self, context: Context) -> None:
        super().open(context)
        self._file = _opened(self._path, os.O_RDONLY)

    def __iter__(self) -> Iterator[Any]:
        decoder = self._decoder()
        while not self._stopping.is_set():
            try:
                data = os.read(self._file, READ_BYTES)
            except OSError as exc:
                raise EndpointError(f"{self.what} cannot be read: {exc.strerror}") from exc
            if not data:
                yield self._rest(decoder)
                return
            yield self._decoded(decoder, data)

    def close(self) -> None:
        super().close()
        self._file = _closed(self._file)


class FileWrite(TakesMany):
    """The sink that `write_lines` returns, which has the description."""

    outlets = ()

    def __init__(self, path: Path, framing: Framing, append: bool) -> None:
        self._path, self._framing = path, framing
        # Both append: after a write that was taken back the next one would begin behind the end, and leave a hole of zeros.
        self._flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (0 if append else os.O_TRUNC)
        self._file = -1

    def open(self, context: Context) -> None:
        self._file = _opened(self._path, self._flags)

    def take_many(self, items: list[Any]) -> list[Failed]:
        frames, refused = list[bytes](), list[Failed]()
        for item in items:
            try:
                frames.append(self._framing.encode(item))
            except FrameError as exc:
                refused.append(Failed(item, exc))
        if frames:
            self._write(memoryview(b"".join(frames)))
        return refused

    def close(self) -> None:
        self._file = _closed(self._file)

    def __repr__(self) -> str:
        return f"<lines to {self._path}>"

    def _write(self, data: memoryview) -> None:
        """Write all, or take back what was written."""
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError as exc:
            if written:
                with suppress(OSError):  # it is a pipe, which gives nothing back
                    os.ftruncate(self._file, os.fstat(self._file).st_size - written)
            raise EndpointError(f"{self._path} cannot be written: {exc.strerror}; make room, or check the permissions") from exc


def _opened(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC, 0o666)
    except OSError as exc:
        raise EndpointError(f"{path} cannot be opened: {exc.strerror}; check the path and the permissions") from exc


def _closed(file: int) -> int:
    if file >= 0:
        os.close(file)
    return -1
