"""The receiving side of the latency benchmark: prints the median in microseconds."""

import statistics
import sys
import time
from typing import Any

import msgspec
import redis

import notify


def by_notify(url: str, count: int) -> list[float]:
    samples = []
    with notify.connect(url) as bus, bus.subscribe("latency") as events:
        print("ready", flush=True)
        while len(samples) < count:
            item = events.get(10.0)
            assert isinstance(item, notify.Event)
            assert isinstance(item.contents, dict)
            samples.append(time.time() - float(str(item.contents["sent"])))
    return samples


def by_redis_py(url: str, count: int) -> list[float]:
    samples = []
    with redis.Redis.from_url(url) as client:
        pubsub: Any = client.pubsub(ignore_subscribe_messages=True)
        pubsub.subscribe(notify.Settings().namespace + ":event:latency-peer")
        pubsub.get_message(timeout=10.0)
        print("ready", flush=True)
        while len(samples) < count:
            message = pubsub.get_message(timeout=10.0)
            if message is not None:
                samples.append(time.time() - msgspec.json.decode(message["data"])["sent"])
        pubsub.close()
    return samples


if __name__ == "__main__":
    measure = by_notify if sys.argv[1] == "notify" else by_redis_py
    print(statistics.median(measure(sys.argv[2], int(sys.argv[3]))) * 1e6)
