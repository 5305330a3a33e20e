"""How long one command or script holds the server, where many things or large ones are handled at once."""

from collections.abc import Callable
from typing import Any, Final

import redis

import notify
from benchmarks.sample_jobs import keep, take_note
from notify.events.scripts import EventScripts
from workers import Queue

__all__ = ["longest_commands"]

LARGE: Final = "x" * 60_000
ROUNDS: Final = 5
"""The least of that many maxima counts: the others hold the pauses of a machine with other work."""


def longest_commands(bus: notify.Bus) -> str:
    """Return a table: for each operation the time of its longest command, as the server measures it."""
    client, queue = bus.redis, Queue("bench", connection=bus.redis)
    events = EventScripts(client)

    def publish_in_background() -> None:
        with bus.background_publisher() as publisher:
            for _ in range(300):
                publisher.put("bench", LARGE)

    def retain() -> None:
        for number in range(100):
            bus.publish(f"bench-{number}", LARGE, retain_s=60)

    def wait_many() -> None:
        with bus.service("bench-service"):
            queue.enqueue_many([queue.prepare_data(take_note, (number,)) for number in range(1_000)])

    operations: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
        ("enqueue 1,000 small jobs", lambda: None, wait_many),
        ("enqueue 100 jobs of 60 KB", lambda: None, lambda: queue.enqueue_many([queue.prepare_data(keep, (LARGE,))] * 100)),
        ("publish 300 events of 60 KB in the background", lambda: None, publish_in_background),
        ("read a log with 300 events of 60 KB", publish_in_background, lambda: events.read_log("bench", after="0-0", count=500)),
        ("describe the traffic of such a log", publish_in_background, bus.traffic),
        ("delete 100 retained events of 60 KB", retain, lambda: bus.expire_retained("bench-*")),
        ("cancel 1,000 jobs", wait_many, lambda: queue.cancel(where=lambda _: True)),
    ]
    rows = [f"{_longest_ms(client, prepare, act):6.1f} ms  {what}" for what, prepare, act in operations]
    return "\n".join(["longest command of", *rows])


def _longest_ms(client: redis.Redis, prepare: Callable[[], object], act: Callable[[], object]) -> float:
    maxima = []
    for _ in range(ROUNDS):
        client.flushall()
        prepare()
        client.config_set("slowlog-log-slower-than", 0)
        client.config_set("slowlog-max-len", 100_000)
        client.slowlog_reset()
        act()
        client.config_set("slowlog-log-slower-than", -1)
        noted: Any = client.slowlog_get(100_000)
        maxima.append(max(entry["duration"] for entry in noted if not entry["command"].startswith(b"SLOWLOG")))
    return min(maxima) / 1000
