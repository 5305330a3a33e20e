"""The page: how long a view takes with 100,000 jobs, and what a hundred viewers cost the server and the memory of the page."""

import selectors
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import notify
from benchmarks.process_memory import pss_mib
from benchmarks.worker_memory import running
from workers import Queue

__all__ = ["web_viewers"]

JOBS: Final = 100_000
QUEUES: Final = 4
LOOKS: Final = 7
APART_S: Final = 1.1
"""Seconds between two looks at a view: the page shows the same one for a second."""
VIEWERS: Final = 100
SECONDS: Final = 8.0
BUSY_S: Final = 120.0
PORT: Final = 18_400
FUNCTION: Final = "benchmarks.peer_notify.nothing"
VIEWS: Final = ("/", "/jobs", "/jobs?status=queued&queue=bench-0", "/jobs?text=nowhere", "/queues", "/services", "/workers", "/topics")


def web_viewers(bus: notify.Bus) -> str:
    """Time of each view with 100,000 jobs; commands of the page with 1 and 100 viewers; its memory while jobs run before 100 viewers."""
    bus.redis.flushdb()
    for number in range(QUEUES):
        queue = Queue(f"bench-{number}", connection=bus.redis)
        for first in range(0, JOBS // QUEUES, 5_000):
            queue.enqueue_many([queue.prepare_data(FUNCTION, (place,)) for place in range(first, first + 5_000)])
    with _page(bus) as (url, pid):
        times = {view: _ms(url, view) for view in VIEWS}
        bus.redis.flushdb()
        alone, many = _commands_per_s(bus, url, 1), _commands_per_s(bus, url, VIEWERS)
        with running(bus, "notify worker", 1), _viewers(url, VIEWERS) as read:
            memory, done = _while_jobs_run(bus, read, pid)
    lines = [f"{'ms of a view with ' + format(JOBS, ',') + ' jobs':<34}"]
    lines += [f"  {view:<36} {ms:.0f}" for view, ms in times.items()]
    lines += [f"{'commands per s, 1 and 100 viewers':<38} {alone:.0f} / {many:.0f}"]
    shown = " ".join(f"{mib:.1f}" for mib in memory)
    lines += [f"{'MiB of the page, 100 viewers':<38} {shown} (in {BUSY_S:.0f} s, {done / BUSY_S:,.0f} jobs/s)"]
    return "\n".join(lines)


@contextmanager
def _page(bus: notify.Bus) -> Iterator[tuple[str, int]]:
    command = [sys.executable, "-m", "cli", "--url", str(bus.settings.url), "web", "--port", str(PORT)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{PORT}"
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"{url}/healthz").read()  # noqa: S310  # our own
                break
            except OSError:
                time.sleep(0.05)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait()


def _ms(url: str, view: str) -> float:
    times = []
    for _ in range(LOOKS):
        time.sleep(APART_S)
        began = time.perf_counter()
        urllib.request.urlopen(f"{url}{view}").read()  # noqa: S310  # our own
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times[1:])


@contextmanager
def _viewers(url: str, count: int) -> Iterator[Callable[[float], int]]:
    """Follow the overview as many times. Yields a function that reads all for some seconds, and returns the number of bytes."""
    waiting = selectors.DefaultSelector()
    sockets = [socket.create_connection(("127.0.0.1", PORT)) for _ in range(count)]

    def read(seconds: float) -> int:
        until, size = time.monotonic() + seconds, 0
        while (left := until - time.monotonic()) > 0:
            for key, _ in waiting.select(left):
                ready: Any = key.fileobj
                size += len(ready.recv(1 << 20))
        return size

    try:
        for each in sockets:
            each.sendall(b"GET /live/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            waiting.register(each, selectors.EVENT_READ)
        read(3.0)
        yield read
    finally:
        waiting.close()
        for each in sockets:
            each.close()


def _commands_per_s(bus: notify.Bus, url: str, viewers: int) -> float:
    """Commands that the server processes while somebody looks, and something changes all the time."""
    with _viewers(url, viewers) as read:
        info: Any = bus.redis.info("stats")
        before, began, published = info["total_commands_processed"], time.monotonic(), 0
        while time.monotonic() - began < SECONDS:
            bus.publish("bench", published)
            published += 1
            read(0.2)
        info = bus.redis.info("stats")
        return (info["total_commands_processed"] - before - published * 2) / (time.monotonic() - began)


def _while_jobs_run(bus: notify.Bus, read: Callable[[float], int], pid: int) -> tuple[list[float], int]:
    queue, memory, done = Queue("bench-throughput", connection=bus.redis), [], 0
    for _ in range(6):
        memory.append(pss_mib(pid))
        until = time.monotonic() + BUSY_S / 6
        while time.monotonic() < until:
            if queue.count < 2_000:
                queue.enqueue_many([queue.prepare_data(FUNCTION, (0,)) for _ in range(1_000)])
                done += 1_000
            read(0.1)
    return [*memory, pss_mib(pid)], done - queue.count
