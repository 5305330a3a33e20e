"""A listener that receives in a process of its own and calls back in a thread: a slow callback holds up no reception."""

import logging
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from notify.errors import ServerUnreachableError, SettingsError
from notify.events.event import Event, Gap
from notify.events.relay import ReceiverOptions, Relayed, read_relayed
from notify.events.topic import check_topics
from notify.server import Client

__all__ = ["QueuedListener", "WhenFull"]

RESTART_S: Final = 0.5

WhenFull: TypeAlias = Literal["block", "drop_oldest"]

log = logging.getLogger(__name__)


class QueuedListener:
    """Calls back with every event of its topics, in order. Made by `Bus.listen`; open it, or use it as a context manager.

    It is live when `open` returns. A receiving process that falls is started again where it left off.

    Args:
        client: whose server, settings and namespace to use.
        topics: topic names and glob patterns.
        callback: takes an `Event`, or a `Gap` where events are missing for good; what it raises is logged.
        max_items: events that may wait for the callback.
        when_full: ``block`` stops receiving; what comes meanwhile is caught up from the log, or becomes a `Gap`.
            ``drop_oldest`` forgets the oldest one and counts it in `dropped`.
        name: who listens, as ``CLIENT LIST`` and a `Demand` tell.
    """

    def __init__(
        self,
        client: Client,
        topics: Sequence[str],
        callback: Callable[[Event | Gap], object],
        *,
        max_items: int = 1_000,
        when_full: WhenFull = "block",
        name: str = "receiver",
    ) -> None:
        if not callable(callback):
            raise TypeError(f"the callback of a listener must be callable, not {callback!r}")
        if max_items < 1 or when_full not in get_args(WhenFull):
            raise SettingsError(f"max_items is {max_items!r} and when_full {when_full!r}: give a number above 0, and {get_args(WhenFull)}")
        self._client = client
        self._name = name
        self._topics = check_topics(topics)
        self._callback = callback
        self._max_items = max_items
        self._when_full = when_full
        self._items: deque[Event | Gap] = deque()
        self._changed = threading.Condition()
        self._process: subprocess.Popen[bytes] | None = None
        self._positions: dict[str, str] = {}
        self._is_open = False
        self._times_opened = 0
        self._threads: list[threading.Thread] = []
        self._calling = threading.Lock()
        self._called_by: threading.Thread | None = None
        self.dropped = 0

    @property
    def is_open(self) -> bool:
        return self._is_open

    @property
    def waiting(self) -> int:
        """How many events wait for the callback."""
        return len(self._items)

    def open(self) -> bool:
        """Start receiving. Returns ``True``, or ``False`` if it is open already.

        Raises:
            ServerUnreachableError: the receiving process could not subscribe; the message says why.
        """
        if self._is_open:
            return False
        self._positions = {}
        self._start_process()
        self._is_open = True
        self._times_opened += 1
        self._threads = [
            threading.Thread(target=self._receive, name="notify-receive", daemon=True),
            threading.Thread(target=self._call_back, args=[self._times_opened], name="notify-call-back", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        return True

    def close(self) -> bool:
        """Stop. What was received and not called back yet is forgotten. Returns ``True``, or ``False`` if it is closed already.

        It may be called by the callback, and so may `open` afterwards.
        """
        with self._changed:
            if not self._is_open:
                return False
            self._is_open = False
            self._items.clear()
            self._changed.notify_all()
        self._end_process()
        receiving, calling = self._threads
        receiving.join()
        if self._called_by is not threading.current_thread():
            calling.join()
        return True

    def __enter__(self) -> "QueuedListener":
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start_process(self) -> None:
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", "notify.events.receiver", *self._topics],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C in the terminal is for the process that listens: it closes us.
            start_new_session=True,
        )
        assert process.stdin is not None and process.stdout is not None  # noqa: S101  # they were asked for
        options = ReceiverOptions(self._client.settings, self._topics, self._positions or None, self._name)
        try:
            process.stdin.write(msgspec.json.encode(options) + b"\n")
            process.stdin.flush()
            first = read_relayed(process.stdout)
        except (OSError, ValueError):
            first = None  # it fell before it could read, or was closed
        if first is None or first.problem is not None:
            self._end_process()
            raise ServerUnreachableError(f"cannot listen to {', '.join(self._topics)}: {first.problem if first else 'the receiver fell'}")
        self._positions.update(first.positions)

    def _end_process(self) -> None:
        process = self._process
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()

    def _receive(self) -> None:
        while self._is_open:
            process = self._process
            assert process is not None and process.stdout is not None  # noqa: S101  # open() started it
            try:
                while (relayed := read_relayed(process.stdout)) is not None:
                    self._take(relayed)
            except (OSError, ValueError):
                log.debug("the receiver was closed while we read")
            if self._is_open:
                self._restart()

    def _take(self, relayed: Relayed) -> None:
        item = relayed.item
        if item is None:
            return
        with self._changed:
            while self._is_open and self._when_full == "block" and len(self._items) >= self._max_items:
                self._changed.wait()
            if not self._is_open:
                return
            if len(self._items) >= self._max_items:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._positions.update(relayed.positions)
            self._changed.notify_all()

    def _restart(self) -> None:
        log.error("the receiver of %s fell and is started again", ", ".join(self._topics))
        self._end_process()
        try:
            self._start_process()
        except ServerUnreachableError as exc:
            log.warning("%s", exc)
            with self._changed:
                if self._is_open:
                    self._changed.wait(RESTART_S)
            return
        if not self._is_open:
            self._end_process()  # closed meanwhile, by somebody who could not know of this one

    def _call_back(self, opened: int) -> None:
        def is_wanted() -> bool:
            return self._is_open and self._times_opened == opened

        while is_wanted():
            # Opened again by its own callback, the thread of that one waits until this one's callback has returned.
            with self._calling:
                with self._changed:
                    while is_wanted() and not self._items:
                        self._changed.wait()
                    if not is_wanted():
                        return
                    item = self._items.popleft()
                    self._changed.notify_all()
                self._call(item)

    def _call(self, item: Event | Gap) -> None:
        self._called_by = threading.current_thread()
        try:
            self._callback(item)
        except Exception:
            log.exception("the callback of the listener to %s raised", ", ".join(self._topics))
        finally:
            self._called_by = None
