"""Recordings: how fast they are written, read and replayed, and how exactly a replay keeps the pace."""

import gzip
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

import notify
from benchmarks.compare import Comparison, compare
from notify.flows.recording import Reader, Recorder, RecordingWriter, Replay

__all__ = ["pace_of_a_replay", "record_without_loss", "recorded_events_read", "recorded_events_written", "replay_to_a_bus"]

EVENTS: Final = 100_000
PACED: Final = 5_000
PUBLISHER: Final = """
import sys, notify
with notify.connect(sys.argv[1]) as bus, bus.background_publisher(max_items=20_000, when_full="block") as publisher:
    for number in range(int(sys.argv[2])):
        publisher.put(f"bench.{number % 10}", {"celsius": 21.5, "number": number, "place": "oven"})
"""


def record_without_loss(bus: notify.Bus) -> str:
    """Events a second from a background publisher in another process through Redis to a recording, and what the recorder takes for one."""
    with tempfile.TemporaryDirectory() as folder, Recorder(bus, "bench.*", folder=Path(folder) / "r", compression="gzip") as recorder:
        began, used = time.perf_counter(), time.process_time()
        subprocess.run([sys.executable, "-c", PUBLISHER, bus.settings.url or "", str(EVENTS)], check=True)
        while recorder.counters.events < EVENTS and not recorder.counters.gaps:
            recorder.wait(0.01)
        seconds, used = time.perf_counter() - began, time.process_time() - used
        numbers = recorder.counters
    each_us = used / numbers.events * 1e6
    return (
        f"record without loss: {numbers.events / seconds:,.0f}/s with the start of the publisher, {numbers.gaps} gaps; "
        f"{each_us:.1f} µs of the recorder for an event, {1e6 / each_us:,.0f}/s on a core"
    )


def recorded_events_written(_: notify.Bus) -> Comparison:
    """Events that are written to a recording in a second of processor time, with index and checksums."""
    events = _events()
    ours, peer = _timed(lambda folder: _record(folder, events)), _timed(lambda folder: _write_plainly(folder, events))
    return compare("recorded events written", ours, peer, peer_name="msgspec and gzip, level 3")


def recorded_events_read(_: notify.Bus) -> Comparison:
    """Events that are read from a recording in a second of processor time, with checksums, in the order of time."""
    events = _events()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_plainly(folder, events)
        _record(folder, events)

        def peer(_: Path) -> None:
            with gzip.open(folder / "plain.gz") as file:
                assert sum(1 for _ in map(msgspec.json.Decoder().decode, file)) == EVENTS

        def ours(_: Path) -> None:
            assert sum(1 for _ in Reader(folder / "r")) == EVENTS

        return compare("recorded events read", _timed(ours), _timed(peer), peer_name="gzip and msgspec, line by line")


def replay_to_a_bus(bus: notify.Bus) -> str:
    """Events a second that a replay without pauses gives to a function, and publishes."""
    with tempfile.TemporaryDirectory() as name:
        _record(Path(name), _events())
        rates = []
        for into in (lambda _: None, bus):
            target: Any = into
            began, used = time.perf_counter(), time.process_time()
            assert Replay(Reader(Path(name) / "r"), target, speed=None).run().events == EVENTS
            rates += [EVENTS / (time.perf_counter() - began), (time.process_time() - used) / EVENTS * 1e6]
    return f"replay: {rates[0]:,.0f}/s to a function, {rates[2]:,.0f}/s to a bus ({rates[3]:.1f} µs of the replay for an event)"


def pace_of_a_replay(_: notify.Bus) -> str:
    """The error of time of a replay at speed 1, of events a millisecond apart."""
    start, times = datetime.now(UTC), list[float]()
    with tempfile.TemporaryDirectory() as folder:
        with RecordingWriter(Path(folder) / "r") as writer:
            for number, event in zip(range(PACED), _events(), strict=False):
                writer.write(event, at=start + timedelta(milliseconds=number))
        Replay(Reader(Path(folder) / "r"), lambda _: times.append(time.perf_counter())).run()
    late_ms = [(when - times[0]) * 1000 - number for number, when in enumerate(times)]
    hundredths = statistics.quantiles(late_ms, n=100)
    return f"pace of a replay: p50 {hundredths[49]:.2f} ms, p99 {hundredths[98]:.2f} ms, at most {max(late_ms):.2f} ms"


def _events() -> list[notify.Event]:
    now = datetime.now(UTC)
    return [
        notify.Event(
            topic=f"bench.{number % 10}",
            contents={"celsius": 21.5, "number": number, "place": "oven"},
            time=now,
            source="bench",
            id=f"{1764226800000 + number // 100}-{number % 100}@5f3a9c01",
            received=now,
        )
        for number in range(EVENTS)
    ]


def _record(folder: Path, events: Sequence[notify.Event]) -> None:
    with RecordingWriter(folder / "r") as writer:
        for event in events:
            writer.write(event)


def _write_plainly(folder: Path, events: Sequence[notify.Event]) -> None:
    encode = msgspec.json.Encoder().encode
    with gzip.open(folder / "plain.gz", "wb", compresslevel=3) as file:
        for event in events:
            file.write(encode(event) + b"\n")


def _timed(work: Callable[[Path], None]) -> Callable[[], float]:
    def rate() -> float:
        with tempfile.TemporaryDirectory() as folder:
            began = time.process_time()  # other processes of the machine do not count
            work(Path(folder))
            return EVENTS / (time.process_time() - began)

    return rate
