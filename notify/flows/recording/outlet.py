"""Where a replay puts events: on the topics of a bus, or into a function."""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Protocol

from notify.errors import EventError
from notify.events import BatchSender, Event, EventBus, EventScripts, Gap, Item, encode
from notify.flows.recording.line import Line, datetime_of

__all__ = ["BusOutlet", "FunctionOutlet", "Outlet"]

log: Final = logging.getLogger(__name__)


class Outlet(Protocol):
    """Takes the lines that are due."""

    def send(self, lines: Sequence[Line]) -> tuple[int, int]:
        """Hand on lines, in order. Returns how many events were given since the last call, and how many were refused."""

    def flush(self) -> tuple[int, int]:
        """Wait until all lines are given. Returns as `send`."""

    def close(self) -> None:
        """Clean up."""


class BusOutlet(Outlet):
    """Publishes events in batches: with their contents, times and sources, and new ids. Gaps cannot be published.

    While the server is away it waits, and publishes no event twice. A batch is sent by a thread while the next one is prepared.

    Args:
        bus: the bus to publish on.
        stopping: ends a wait for the server.
    """

    def __init__(self, bus: EventBus, stopping: threading.Event) -> None:
        self._scripts = EventScripts(bus.redis.clone(name="replay"))
        self._limit = bus.settings.max_payload_bytes
        self._sender = BatchSender(self._scripts, name="the replay", wait=stopping.wait)
        self._thread = ThreadPoolExecutor(1, "notify-replay-sender")
        self._sending: Future[tuple[int, int]] | None = None

    def send(self, lines: Sequence[Line]) -> tuple[int, int]:
        items, too_large = [], 0
        for line in lines:
            if line.gap is None:
                try:
                    items.append(Item(line.topic, self._body(line), None))
                except EventError as exc:
                    log.error("an event on %r cannot be replayed: %s", line.topic, exc)
                    too_large += 1
        given, refused = self.flush()
        if items:
            self._sending = self._thread.submit(self._publish, items)
        return given, refused + too_large

    def flush(self) -> tuple[int, int]:
        sending, self._sending = self._sending, None
        return (0, 0) if sending is None else sending.result()

    def close(self) -> None:
        self._thread.shutdown()
        self._scripts.client.close()

    def _publish(self, items: list[Item]) -> tuple[int, int]:
        problems = self._sender.send(items)
        for item, problem in problems:
            log.error("the server refused an event on %r: %s", item.topic, problem)
        return len(items) - len(problems) - self._sender.unsent, len(problems)

    def _body(self, line: Line) -> bytes:
        contents = line.contents if line.error is None else line.error
        event = Event(topic=line.topic, contents=contents, time=line.time or datetime_of(line.at), source=line.source)
        return encode(event, max_bytes=self._limit)


class FunctionOutlet(Outlet):
    """Calls a function with each event and gap."""

    def __init__(self, function: Callable[[Event | Gap], object]) -> None:
        self._function = function

    def send(self, lines: Sequence[Line]) -> tuple[int, int]:
        events = 0
        for line in lines:
            self._function(line.item)
            events += line.gap is None
        return events, 0

    def flush(self) -> tuple[int, int]:
        return 0, 0

    def close(self) -> None:
        pass
