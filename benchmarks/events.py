"""Publishing and receiving, against redis-py's own pub/sub, which neither logs nor repairs."""

import threading
import time
from typing import Any, Final

import msgspec

import notify
from benchmarks.compare import Comparison, compare

__all__ = ["publish_one_by_one", "receive_and_decode"]

COUNT: Final = 5_000
CONTENTS: Final = {"celsius": 21.5}


def publish_one_by_one(bus: notify.Bus) -> Comparison:
    """One call each, nobody listening: ours writes log and head as well."""
    payload = msgspec.json.encode(CONTENTS)

    def ours() -> float:
        started = time.perf_counter()
        for _ in range(COUNT):
            bus.publish("bench", CONTENTS)
        return COUNT / (time.perf_counter() - started)

    def peer() -> float:
        started = time.perf_counter()
        for _ in range(COUNT):
            bus.redis.publish("bench", payload)
        return COUNT / (time.perf_counter() - started)

    return compare("publish, one call each", ours, peer, peer_name="redis-py")


def receive_and_decode(bus: notify.Bus) -> Comparison:
    """A backlog of events on a live subscription, decoded, with order and gaps checked on our side."""

    def ours() -> float:
        with bus.subscribe("bench") as events:
            publisher = threading.Thread(target=_publish, args=(bus,))
            publisher.start()
            publisher.join()
            started = time.perf_counter()
            for _ in range(COUNT):
                assert events.get(5.0) is not None
            return COUNT / (time.perf_counter() - started)

    def peer() -> float:
        pubsub: Any = bus.redis.pubsub(ignore_subscribe_messages=True)
        pubsub.subscribe(bus.keys.channel("bench"))
        pubsub.get_message(timeout=5.0)
        publisher = threading.Thread(target=_publish, args=(bus,))
        publisher.start()
        publisher.join()
        started = time.perf_counter()
        received = 0
        while received < COUNT:
            message = pubsub.get_message(timeout=5.0)
            if message is not None:
                msgspec.json.decode(message["data"])
                received += 1
        rate = COUNT / (time.perf_counter() - started)
        pubsub.close()
        return rate

    return compare("receive and decode", ours, peer, peer_name="redis-py + msgspec")


def _publish(bus: notify.Bus) -> None:
    for _ in range(COUNT):
        bus.publish("bench", CONTENTS)
