"""What all line sources have in common: they read bytes in a thread, cut them into items, and can be stopped at any time."""

import os
import selectors
import threading
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, Final

from notify.flows.framing import Decoder, Framing, framing_of
from notify.flows.items import DROPPED, Failed, Items
from notify.flows.protocol import Context, Source, Uses
from notify.flows.reports import Reports

__all__ = ["READ_BYTES", "LineSource", "Waker"]

READ_BYTES: Final = 262_144
"""The most bytes of one read."""


class LineSource(Source):
    """A source that reads bytes.

    Args:
        what: what it reads, for people.
        framing: how bytes become items.
    """

    def __init__(self, what: str, framing: object) -> None:
        self.what = what
        self._framing: Framing = framing_of(framing)
        self._uses = Uses()
        self._reports = Reports(what)
        self._stopping = threading.Event()

    def open(self, context: Context) -> object:
        self._uses = context.uses
        return None

    def stop(self) -> None:
        self._stopping.set()

    def close(self) -> object:
        self._reports.finish()
        return None

    @abstractmethod
    def __iter__(self) -> Iterator[Any]:
        """Read until the end, or until the source is stopped."""

    def __repr__(self) -> str:
        return f"<lines of {self.what}>"

    def _decoder(self) -> Decoder:
        return self._framing.decoder(resumes=True)

    def _decoded(self, decoder: Decoder, data: bytes) -> Items:
        """Return the items that are complete with these bytes; raise `FrameError` if the stream cannot be read any further."""
        items = self._checked(decoder.feed(data))
        if decoder.problem is not None:
            raise decoder.problem
        return items

    def _rest(self, decoder: Decoder) -> Items:
        """Return what is left at the end of a stream."""
        return self._checked(decoder.end())

    def _checked(self, items: list[Any]) -> Items:
        """Replace what cannot be used by a failure for the outlet ``error``, or count and log it."""
        if Failed in set(map(type, items)) and not self._uses.has_errors:
            items = [self._dropped(item) if type(item) is Failed else item for item in items]
        return Items(items)

    def _dropped(self, failed: Failed) -> Any:
        self._reports.note("dropped", f"a frame is dropped: {failed.error}: {failed.item!r:.120}")
        return DROPPED


class Waker:
    """Waits until a file can be read, or until somebody else calls `wake`."""

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe()
        self._selector = selectors.PollSelector()  # it takes plain files, which epoll does not, and high numbers, which select does not
        self._selector.register(self._read_end, selectors.EVENT_READ)
        self._lock = threading.Lock()
        self._is_closed = False

    def wake(self) -> None:
        """End the present wait and all later ones. May be called from any thread, also after `close`."""
        with self._lock:
            if not self._is_closed:
                os.write(self._write_end, b"w")

    def wait(self, file: int, timeout_s: float | None = None) -> bool:
        """Wait until ``file`` can be read. Returns ``False`` if it was woken, or the time is over."""
        self._selector.register(file, selectors.EVENT_READ)
        try:
            ready = {key.fd for key, _ in self._selector.select(timeout_s)}
        finally:
            self._selector.unregister(file)
        return self._read_end not in ready and file in ready

    def close(self) -> None:
        """Close what it has opened."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._selector.close()
                os.close(self._read_end)
                os.close(self._write_end)
