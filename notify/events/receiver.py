"""The receiving process of a `notify.events.listener.QueuedListener`: subscribes, and relays what comes line by line on stdout."""

import os
import sys
import threading

import msgspec

from notify.errors import NotifyError
from notify.events.event import Gap, wire_of
from notify.events.relay import ReceiverOptions, Relayed
from notify.events.subscriber import Subscriber
from notify.process import set_title
from notify.server import open_client

__all__ = ["main"]


def main() -> None:
    """Receive for a `QueuedListener` in the process that started this one, until it goes."""
    options = msgspec.json.decode(sys.stdin.buffer.readline(), type=ReceiverOptions)
    set_title(f"listener of {', '.join(options.topics)}")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        client = open_client(options.settings, name="receiver")
        subscriber = Subscriber(client, options.topics, since=options.since, name=options.name)
    except NotifyError as exc:
        _write(Relayed(problem=str(exc)))
        return
    with subscriber:
        try:
            _relay(subscriber)
        except BrokenPipeError:
            return  # who listened is gone


def _relay(subscriber: Subscriber) -> None:
    _write(Relayed(positions=subscriber.positions))
    for item in subscriber:
        position = {item.topic: subscriber.positions[item.topic]} if item.topic in subscriber.positions else {}
        _write(Relayed(gap=item, positions=position) if isinstance(item, Gap) else Relayed(event=wire_of(item), positions=position))


def _write(relayed: Relayed) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(relayed) + b"\n")
    sys.stdout.buffer.flush()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()  # the parent never writes again: this returns when it is gone
    os._exit(0)


if __name__ == "__main__":
    main()
