"""A call to a service in another process, against a list for each way and no more: redis-py's LPUSH and BRPOP."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import redis

import notify

__all__ = ["call_round_trip"]

SAMPLES: Final = 2_000
ROUNDS: Final = 5


def call_round_trip(bus: notify.Bus) -> str:
    """Microseconds from before the call to after its result, one call at a time; both sides between the same two processes."""
    url = str(bus.settings.url)
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.requests_server", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        server.stdout.readline()  # it is ready
        with redis.Redis.from_url(url) as client:
            client.ping()
            ours, peer, pings = [], [], []
            for _ in range(ROUNDS):
                ours.append(_median_us(lambda: bus.call("bench-calculator", "multiply", 6, 7)))
                peer.append(_median_us(lambda: _ping_pong(client)))
                pings.append(_median_us(client.ping))
        server.communicate(timeout=30)
    ours_us, peer_us, ping_us = (statistics.median(rounds) for rounds in (ours, peer, pings))
    return (
        f"{'call, round trip, p50':<34} ours {ours_us:>9.0f} us  LPUSH/BRPOP {peer_us:>6.0f} us  ratio {ours_us / peer_us:.2f}"
        f"   (PING {ping_us:.0f} us)"
    )


def _ping_pong(client: redis.Redis) -> None:
    client.lpush("bench-ping", b"[6,7]")
    answer: Any = client.brpop(["bench-pong"], timeout=5)
    assert answer[1] == b"42"


def _median_us(call: Callable[[], object]) -> float:
    samples = []
    for _ in range(SAMPLES):
        started = time.perf_counter()
        call()
        samples.append(time.perf_counter() - started)
    return statistics.median(samples) * 1e6
