"""Recordings for tests: made of events without a server, cut and spoilt; and a process that records."""

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import notify
from notify.flows import pipeline, subscribe_to
from notify.flows.recording import Compression, Header, Reader, Recorder, RecordingWriter, record_to
from tests.support.processes import say, wait_for_go

START = datetime(2026, 11, 27, 7, 0, tzinfo=UTC)
Item = notify.Event | notify.Gap


def event(number: Any, *, topic: str = "lab", after_s: float = 0.0, **fields: Any) -> notify.Event:
    """An event so many seconds after `START`."""
    moment = START + timedelta(seconds=after_s)
    return notify.Event(**{"topic": topic, "contents": number, "time": moment, "received": moment, "source": "test", **fields})


def gap(topic: str = "lab") -> notify.Gap:
    return notify.Gap(topic, "trimmed", "1-0@e", "2-0@e")


def record(
    folder: Path, items: Sequence[Item], *, compression: Compression = "gzip", flush_every: int = 0, step_s: float = 0.001, **options: Any
) -> Path:
    """Write a recording of items, each ``step_s`` after the one before, or when it was received if ``step_s`` is 0. Returns the folder."""
    header = Header(started=START, topics=("*",), namespace="notify", compression=compression)
    with RecordingWriter(folder, header=header, **options) as writer:
        for number, item in enumerate(items, 1):
            writer.write(item, at=START + timedelta(seconds=number * step_s) if step_s else None)
            if flush_every and number % flush_every == 0:
                writer.flush()
    return folder


def items_of(reader: Reader) -> list[Item]:
    return [recorded.item for recorded in reader]


def contents_of(items: Sequence[Item]) -> list[Any]:
    return [item.contents if isinstance(item, notify.Event) else item.reason for item in items]


def data_file(folder: Path) -> Path:
    """The only file with events."""
    (found,) = (path for path in folder.iterdir() if path.name[0].isdecimal())
    return found


def recorder(url: str, folder: str, compression: Any, append: str, *topics: str) -> None:
    """Record topics until a line comes, and tell how many events were flushed whenever more are."""
    with (
        notify.connect(url) as bus,
        Recorder(bus, *topics, folder=folder, compression=compression, append=append == "append", flush_s=0.02) as running,
    ):
        say("ready")
        flushed = 0
        while wait_for_go():
            while running.counters.flushed <= flushed and running.is_running:
                running.wait(0.005)
            flushed = running.counters.flushed
            say(flushed)


def flow_recorder(url: str, folder: str, position: str) -> None:
    """Record the topic ``t`` as a flow with a stored position, until stdin is closed."""
    with notify.connect(url) as bus, pipeline(subscribe_to(bus, "t", position=position), record_to(folder)):
        say("ready")
        wait_for_go()


ROLES: dict[str, Callable[..., None]] = {"recorder": recorder, "flow_recorder": flow_recorder}

if __name__ == "__main__":
    ROLES[sys.argv[1]](*sys.argv[2:])
