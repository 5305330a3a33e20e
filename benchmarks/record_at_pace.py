"""A recorder at a pace that is offered: events of ten topics come at so many a second, and it gets all of them or falls behind.

The events are published by the script that publishers use, with commands that were packed before: the publisher takes as little of the
machine as it can, so that the figures are those of the server and the recorder. Each of the three tells what it used of a core.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import hiredis

import notify
from notify.events import BATCH, EventScripts
from notify.flows.recording import Recorder

__all__ = ["record_at_a_pace"]

PACES: Final = (25_000, 50_000, 75_000, 100_000)
SECONDS: Final = 10
BEHIND_S: Final = 30
TOPICS: Final = 10


def record_at_a_pace(bus: notify.Bus) -> str:
    """Each pace for ten seconds: what was offered, what was recorded, and what the three processes used."""
    return "\n".join(_at(bus, pace) for pace in PACES)


def _at(bus: notify.Bus, pace: int) -> str:
    total = pace * SECONDS
    server_before = _used_by_server(bus)
    with tempfile.TemporaryDirectory() as folder, Recorder(bus, "bench.*", folder=Path(folder) / "r", compression="gzip") as recorder:
        command = [sys.executable, "-m", "benchmarks.record_at_pace", str(bus.settings.url), str(pace)]
        began, used = time.perf_counter(), time.process_time()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as publisher:
            assert publisher.stdout is not None
            took_s, publisher_s = map(float, publisher.stdout.read().split())
        deadline = time.monotonic() + BEHIND_S
        while recorder.counters.events < total and not recorder.counters.gaps and time.monotonic() < deadline:
            recorder.wait(0.01)
        behind_s = time.perf_counter() - began - took_s
        used, server_s = time.process_time() - used, _used_by_server(bus) - server_before
        numbers = recorder.counters
    shares = ", ".join(
        f"{name} {each / took_s:.0%}" for name, each in (("publisher", publisher_s), ("server", server_s), ("recorder", used))
    )
    return (
        f"recorded at a pace of {pace:,}/s: {total / took_s:,.0f}/s offered for {took_s:.1f} s, {numbers.events:,} of {total:,} recorded, "
        f"{numbers.gaps} gaps, the last {max(0.0, behind_s):.1f} s later; of a core: {shares}"
    )


def _used_by_server(bus: notify.Bus) -> float:
    cpu: Any = bus.redis.info("cpu")
    return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])


def publish(url: str, pace: int) -> None:
    """Publish at a pace, and print the seconds that it took, and those of the processor."""
    with notify.connect(url) as bus:
        scripts, keys = EventScripts(bus.redis), bus.keys
        topics = [f"bench.{number}" for number in range(TOPICS)]
        body = scripts.body(topics[0], {"celsius": 21.5, "number": 123_456, "place": "oven"})
        scripts.publish_many("bench", 0, [])  # the server knows the script from here on
        all_keys = [keys.sent("bench"), keys.topics]
        tail: list[Any] = [86_400_000, *scripts.limits(), len(topics)]
        for topic in topics:
            all_keys += [keys.log(topic), keys.topic(topic), keys.retained(topic)]
            tail += [keys.channel(topic), topic]
        for number in range(BATCH):
            tail += [number % TOPICS + 1, body, ""]
        batches = pace * SECONDS // BATCH
        packed = [
            hiredis.pack_command(("EVALSHA", scripts.digest("publish_many"), len(all_keys), *all_keys, number, *tail))
            for number in range(1, 101)
        ]
        used, began = time.process_time(), time.perf_counter()
        connection: Any = bus.redis.connection_pool.get_connection()
        for number in range(batches):
            early_s = number * BATCH / pace - (time.perf_counter() - began)
            if early_s > 0.001:
                time.sleep(early_s)
            connection.send_packed_command([packed[number % len(packed)]])
            connection.read_response()
        took_s = time.perf_counter() - began
        bus.redis.connection_pool.release(connection)
        print(took_s, time.process_time() - used)


if __name__ == "__main__":
    publish(sys.argv[1], int(sys.argv[2]))
