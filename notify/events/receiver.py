"""The receiving process of a `QueuedListener`, and the protocol between the two.

The listener writes `ReceiverOptions`, as one line of JSON, to the standard input of the process. The process subscribes and writes
a `ReceivedLine`, as a line of JSON, for each event or gap to its standard output; the first line says whether it has subscribed.
The process ends when its standard input is closed, which also happens when the listener is killed.
"""

import os
import sys
import threading
from typing import IO

import msgspec

from notify.errors import NotifyError
from notify.events.event import Event, Gap, Wire, event_of, wire_of
from notify.events.subscriber import Subscriber
from notify.process import set_title
from notify.server import open_client
from notify.settings import Settings

__all__ = ["ReceivedLine", "ReceiverOptions", "main", "read_line"]


class ReceiverOptions(msgspec.Struct, frozen=True):
    """The line on standard input.

    Args:
        settings: the server, the namespace and the limits.
        topics: topic names and glob patterns.
        since: topic → id of the event after which to begin, or ``start``; ``None`` begins with new events.
        name: the name of the subscriber.
    """

    settings: Settings
    topics: tuple[str, ...]
    since: dict[str, str] | None
    name: str


class ReceivedLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line on standard output: an event or a gap, and the positions that changed.

    The first line contains all positions, or the error because of which the process could not subscribe, as ``problem``.
    """

    event: Wire | None = None
    gap: Gap | None = None
    problem: str | None = None
    positions: dict[str, str] = {}

    @property
    def item(self) -> Event | Gap | None:
        """The event or gap; ``None`` in the first line."""
        return self.gap if self.event is None else event_of(self.event)


def read_line(stream: IO[bytes]) -> ReceivedLine | None:
    """Return the next line of a receiving process, or ``None`` if the process has ended."""
    line = stream.readline()
    return msgspec.json.decode(line, type=ReceivedLine) if line.endswith(b"\n") else None


def main() -> None:
    """Receive events for the `QueuedListener` in the parent process until the parent ends."""
    options = msgspec.json.decode(sys.stdin.buffer.readline(), type=ReceiverOptions)
    set_title(f"listener of {', '.join(options.topics)}")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        client = open_client(options.settings, name="receiver")
        subscriber = Subscriber(client, options.topics, since=options.since, name=options.name, takes_direct=True)
    except NotifyError as exc:
        _write(ReceivedLine(problem=str(exc)))
        return
    with subscriber:
        try:
            _receive(subscriber)
        except BrokenPipeError:
            return  # the parent process has ended


def _receive(subscriber: Subscriber) -> None:
    _write(ReceivedLine(positions=subscriber.positions))
    for item in subscriber:
        position = {item.topic: subscriber.positions[item.topic]} if item.topic in subscriber.positions else {}
        if isinstance(item, Gap):
            _write(ReceivedLine(gap=item, positions=position))
        else:
            _write(ReceivedLine(event=wire_of(item), positions=position))


def _write(line: ReceivedLine) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()  # the parent writes nothing more: `read` returns when the parent has ended
    os._exit(0)
