"""Standard input as a source."""

import os
import sys
from collections.abc import Iterator
from typing import Any, Literal

from notify.errors import EndpointError
from notify.flows.framing import Framing, LineFraming
from notify.flows.lines.reader import READ_BYTES, LineSource, Waker
from notify.flows.protocol import Context, Source

__all__ = ["stdin_lines"]


def stdin_lines(*, framing: Literal["lines", "json", "length"] | Framing | None = None) -> Source:
    """Return a source of the lines of standard input; it ends with the input.

    Args:
        framing: how bytes become items, by default lines, the last of which may come without a line break.

    Raises:
        WiringError: the framing cannot be used.

    ``Flow.start`` raises `EndpointError` if there is no standard input.
    """
    return StandardInput("standard input", LineFraming(partial="keep") if framing is None else framing)


class StandardInput(LineSource):
    """The source that `stdin_lines` returns, which has the description."""

    def open(self, context: Context) -> None:
        super().open(context)
        try:
            self._file = sys.stdin.fileno()
        except (AttributeError, OSError, ValueError) as exc:  # it is None, no file, or closed
            raise EndpointError("there is no standard input: start the program with one, or use another source") from exc
        self._waker = Waker()

    def __iter__(self) -> Iterator[Any]:
        decoder = self._decoder()
        while not self._stopping.is_set():
            if not self._waker.wait(self._file):
                continue
            try:
                data = os.read(self._file, READ_BYTES)
            except OSError as exc:
                raise EndpointError(f"standard input cannot be read: {exc.strerror}") from exc
            if not data:
                break
            yield self._decoded(decoder, data)
        yield self._rest(decoder)

    def stop(self) -> None:
        super().stop()
        if hasattr(self, "_waker"):
            self._waker.wake()

    def close(self) -> None:
        super().close()
        if hasattr(self, "_waker"):
            self._waker.close()
