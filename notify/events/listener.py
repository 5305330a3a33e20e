"""A listener: a child process receives events and a thread calls a function with them, so a slow callback does not delay reception."""

import logging
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from typing import Final, TypeAlias

import msgspec

from notify.errors import ServerUnreachableError, SubscriptionError
from notify.events.decoder import MessageDecoder
from notify.events.event import Event, Gap
from notify.events.message import Message, message_topic
from notify.events.overflow import LISTENER_POLICIES, WhenListenerFull, check_overflow
from notify.events.receiver import ReceivedLine, ReceiverOptions, read_line
from notify.events.topic import check_topics
from notify.process import own_command
from notify.server import Client

__all__ = ["QueuedListener"]

RESTART_S: Final = 0.5

log = logging.getLogger(__name__)


ListenerCallback: TypeAlias = Callable[[Event | Gap], object]


class QueuedListener:
    """Calls functions with every event of its topics, in order. Made by `Bus.listen`; open it, or use it as a context manager.

    The subscription is live when `open` returns. If the receiving process dies, another one is started, which continues after the
    last event that was received.

    Args:
        client: the server, the settings and the namespace to use.
        topics: topic names, glob patterns, and message classes: the contents of their topics become instances of the class.
        callback: takes an `Event`, or a `Gap` where events are lost for good. Exceptions that it raises are logged. `subscribe` adds
            further callbacks; an event for which there is no callback is dropped.
        max_items: events that may wait for the callback.
        when_full: what happens when ``max_items`` events wait. ``block`` stops receiving until there is room; the missed events are
            then read from the log, or become a `Gap`. ``drop_oldest`` drops the oldest event and counts it in `dropped`.
        name: the name of the subscriber in ``CLIENT LIST`` and in a `Demand`.
    """

    def __init__(
        self,
        client: Client,
        topics: Sequence[str | type[Message]],
        callback: ListenerCallback | None = None,
        *,
        max_items: int = 1_000,
        when_full: WhenListenerFull = "block",
        name: str = "receiver",
    ) -> None:
        client.require_server("a listener, which receives in a process of its own,")
        check_overflow(max_items, when_full, LISTENER_POLICIES)
        self._client = client
        self._name = name
        self.topics = check_topics([message_topic(topic) if isinstance(topic, type) else topic for topic in topics])
        classes = [topic for topic in topics if isinstance(topic, type)]
        self._decoder = MessageDecoder(classes, log=log, name=f"the listener to {', '.join(self.topics)}")
        self._callbacks: tuple[ListenerCallback, ...] = ()  # replaced, never changed: the thread may be iterating over it
        self._max_items = max_items
        self._when_full = when_full
        self._items: deque[Event | Gap] = deque()
        self._changed = threading.Condition()
        if callback is not None:
            self.subscribe(callback)
        self._process: subprocess.Popen[bytes] | None = None
        self._positions: dict[str, str] = {}
        self._is_open = False
        self._times_opened = 0
        self._threads: list[threading.Thread] = []
        self._callback_lock = threading.Lock()
        self._called_by: threading.Thread | None = None
        self.dropped = 0
        """How many events were dropped because the queue was full."""

    @property
    def is_open(self) -> bool:
        """Whether it receives events: it was opened, and is not closed."""
        return self._is_open

    @property
    def waiting(self) -> int:
        """How many events and gaps wait for the callback."""
        return len(self._items)

    @property
    def skipped(self) -> int:
        """How many events were skipped because their contents do not fit the message class of their topic."""
        return self._decoder.skipped

    def subscribe(self, callback: ListenerCallback) -> bool:
        """Call a function with every event from now on, after the functions that were subscribed before.

        Returns:
            ``False`` if it is subscribed already; it is not called twice.

        Raises:
            TypeError: the callback cannot be called.
        """
        if not callable(callback):
            raise TypeError(f"the callback of a listener must be callable, not {callback!r}")
        with self._changed:
            if callback in self._callbacks:
                return False
            self._callbacks = (*self._callbacks, callback)
        return True

    def unsubscribe(self, callback: ListenerCallback) -> bool:
        """Stop calling a function; it may call this itself. Returns ``False`` if it is not subscribed.

        Raises:
            TypeError: the callback cannot be called.
        """
        if not callable(callback):
            raise TypeError(f"the callback of a listener must be callable, not {callback!r}")
        with self._changed:
            if callback not in self._callbacks:
                return False
            self._callbacks = tuple(each for each in self._callbacks if each != callback)
        return True

    def open(self) -> bool:
        """Start the receiving process, and wait until it has subscribed. Returns ``False`` if the listener is open already, else ``True``.

        Raises:
            ServerUnreachableError: the receiving process could not subscribe; the message says why.
            SubscriptionError: the system starts no further process.
            ClosedError: the bus is closed.
        """
        if self._is_open:
            return False
        self._client.check_open()
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
        """Stop, and drop the events that wait for the callback. Returns ``False`` if the listener is closed already, else ``True``.

        The callback may call `close`, and then `open`.
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
        try:
            self._process = process = subprocess.Popen(
                own_command("notify.events", *self.topics),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # Ctrl-C in the terminal is for the parent process, which closes the listener.
                start_new_session=True,
            )
        except OSError as exc:
            topics = ", ".join(self.topics)
            raise SubscriptionError(f"cannot listen to {topics}: no process can be started, {exc.strerror}; end some others") from exc
        assert process.stdin is not None and process.stdout is not None  # noqa: S101  # both are pipes
        options = ReceiverOptions(self._client.settings, self.topics, self._positions or None, self._name)
        try:
            process.stdin.write(msgspec.json.encode(options) + b"\n")
            process.stdin.flush()
            first = read_line(process.stdout)
        except (OSError, ValueError):
            first = None  # the process died before it had read the options, or the listener was closed
        if first is None or first.problem is not None:
            self._end_process()
            problem = first.problem if first else "the receiving process died"
            raise ServerUnreachableError(f"cannot listen to {', '.join(self.topics)}: {problem}")
        self._positions.update(first.positions)

    def _end_process(self) -> None:
        process = self._process
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):  # closing writes what was buffered, and its reader was killed
                    stream.close()

    def _receive(self) -> None:
        while self._is_open:
            process = self._process
            assert process is not None and process.stdout is not None  # noqa: S101  # open() started it
            try:
                while (line := read_line(process.stdout)) is not None:
                    self._queue(line)
            except (OSError, ValueError):
                log.debug("the output of the receiving process was closed during a read")
            if self._is_open:
                self._restart()

    def _queue(self, line: ReceivedLine) -> None:
        item = None if line.item is None else self._decoder.decode(line.item)
        if item is None:
            with self._changed:
                self._positions.update(line.positions)
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
            self._positions.update(line.positions)
            self._changed.notify_all()

    def _restart(self) -> None:
        log.error("the receiving process of the listener to %s died and is started again", ", ".join(self.topics))
        self._end_process()
        try:
            self._start_process()
        except (ServerUnreachableError, SubscriptionError) as exc:
            log.warning("%s; trying again in %g s", exc, RESTART_S)
            with self._changed:
                if self._is_open:
                    self._changed.wait(RESTART_S)
            return
        if not self._is_open:
            self._end_process()  # the listener was closed meanwhile, and close() did not see this process

    def _call_back(self, opened: int) -> None:
        def is_current() -> bool:
            return self._is_open and self._times_opened == opened

        while is_current():
            # If a callback closes and opens the listener again, the new thread waits here until that callback has returned.
            with self._callback_lock:
                with self._changed:
                    while is_current() and not self._items:
                        self._changed.wait()
                    if not is_current():
                        return
                    item = self._items.popleft()
                    self._changed.notify_all()
                self._call(item)

    def _call(self, item: Event | Gap) -> None:
        self._called_by = threading.current_thread()
        try:
            for callback in self._callbacks:
                if callback in self._callbacks:  # not unsubscribed by an earlier one
                    self._call_one(callback, item)
        finally:
            self._called_by = None

    def _call_one(self, callback: ListenerCallback, item: Event | Gap) -> None:
        try:
            with item.processing() if isinstance(item, Event) else nullcontext():
                callback(item)
        except Exception:
            log.exception("a callback of the listener to %s raised an exception", ", ".join(self.topics))
