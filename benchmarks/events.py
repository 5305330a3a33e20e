"""Publishing and receiving, against redis-py's own pub/sub, which neither logs nor repairs, and FastStream's broker."""

import asyncio
import subprocess
import sys
import threading
import time
from typing import Any, Final

import msgspec
from faststream.redis import RedisBroker

import notify
from benchmarks.compare import Comparison, compare

__all__ = ["latency", "publish_and_handle", "publish_in_background", "publish_one_by_one", "receive_and_decode"]

COUNT: Final = 5_000
SHORT_COUNT: Final = 500
BACKGROUND_COUNT: Final = 50_000
SAMPLES: Final = 5_000
PACE_S: Final = 0.001
CONTENTS: Final = {"celsius": 21.5}


def publish_one_by_one(bus: notify.Bus) -> Comparison:
    """One call per event, without subscribers; ours writes log and head as well."""
    payload = msgspec.json.encode(CONTENTS)

    def ours() -> float:
        started = time.perf_counter()
        for _ in range(SHORT_COUNT):
            bus.publish("bench", CONTENTS)
        return SHORT_COUNT / (time.perf_counter() - started)

    def peer() -> float:
        started = time.perf_counter()
        for _ in range(SHORT_COUNT):
            bus.redis.publish("bench", payload)
        return SHORT_COUNT / (time.perf_counter() - started)

    # Short rounds, and many: the speed of a shared machine changes from one second to the next.
    return compare("publish, one call each", ours, peer, peer_name="redis-py", rounds=60)


def publish_in_background(bus: notify.Bus) -> Comparison:
    """From the first `put` to the end of a clean close; FastStream awaits each publish, as its users do."""

    def ours() -> float:
        started = time.perf_counter()
        with bus.background_publisher(max_items=BACKGROUND_COUNT) as publisher:
            for _ in range(BACKGROUND_COUNT):
                publisher.put("bench", CONTENTS)
        return BACKGROUND_COUNT / (time.perf_counter() - started)

    async def publish() -> float:
        async with RedisBroker(str(bus.settings.url), logger=None) as broker:
            started = time.perf_counter()
            for _ in range(COUNT):
                await broker.publish(CONTENTS, channel="bench")
            return COUNT / (time.perf_counter() - started)

    return compare("publish, background", ours, lambda: asyncio.run(publish()), peer_name="FastStream")


def receive_and_decode(bus: notify.Bus) -> Comparison:
    """A backlog of events on a live subscription, decoded, with order and gaps checked on our side."""

    def ours() -> float:
        with bus.subscribe("bench") as events:
            _publish_apart(bus)
            started = time.perf_counter()
            for _ in range(COUNT):
                assert events.get(5.0) is not None
            return COUNT / (time.perf_counter() - started)

    def peer() -> float:
        pubsub: Any = bus.redis.pubsub(ignore_subscribe_messages=True)
        pubsub.subscribe(bus.keys.channel("bench"))
        pubsub.get_message(timeout=5.0)
        _publish_apart(bus)
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


def publish_and_handle(bus: notify.Bus) -> Comparison:
    """A burst, from its first publish until the subscriber has handled the last event. FastStream's burst is published by redis-py."""

    def ours() -> float:
        with bus.subscribe("bench") as events, bus.background_publisher(max_items=COUNT) as publisher:
            started = time.perf_counter()
            for _ in range(COUNT):
                publisher.put("bench", CONTENTS)
            for _ in range(COUNT):
                assert events.get(5.0) is not None
            return COUNT / (time.perf_counter() - started)

    def publish_at_once() -> None:
        with bus.redis.pipeline(transaction=False) as pipe:
            for _ in range(COUNT):
                pipe.publish("bench-peer", msgspec.json.encode(CONTENTS))
            pipe.execute()

    async def handle_all() -> float:
        broker, handled, all_handled = RedisBroker(str(bus.settings.url), logger=None), 0, asyncio.Event()

        @broker.subscriber("bench-peer")
        async def handle(_contents: dict[str, float]) -> None:
            nonlocal handled
            handled += 1
            if handled == COUNT:
                all_handled.set()

        async with broker:
            await broker.start()
            started = time.perf_counter()
            await asyncio.to_thread(publish_at_once)
            await all_handled.wait()
            return COUNT / (time.perf_counter() - started)

    return compare("publish and handle a burst", ours, lambda: asyncio.run(handle_all()), peer_name="FastStream")


def latency(bus: notify.Bus) -> str:
    """Microseconds from before the publish in one process to after the receipt in another.

    One event a millisecond, ours and theirs in turn: so both meet the machine in the same state.
    """
    payload = msgspec.json.encode
    with _receiver(bus, "notify") as ours, _receiver(bus, "redis-py") as peer:
        for _ in range(SAMPLES):
            bus.publish("latency", {"sent": time.time()})
            time.sleep(PACE_S)
            bus.redis.publish(bus.keys.channel("latency-peer"), payload({"sent": time.time()}))
            time.sleep(PACE_S)
        ours_us, peer_us = (float(receiver.communicate(timeout=30)[0]) for receiver in (ours, peer))
    return f"{'latency, paced, p50':<34} ours {ours_us:>9.0f} us  redis-py {peer_us:>9.0f} us  ratio {ours_us / peer_us:.2f}"


def _receiver(bus: notify.Bus, side: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "benchmarks.latency_receiver", side, str(bus.settings.url), str(SAMPLES)]
    receiver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert receiver.stdout is not None
    receiver.stdout.readline()  # it is ready
    return receiver


def _publish_apart(bus: notify.Bus) -> None:
    def publish() -> None:
        for _ in range(COUNT):
            bus.publish("bench", CONTENTS)

    thread = threading.Thread(target=publish)
    thread.start()
    thread.join()
