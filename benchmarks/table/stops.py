"""How long a running job goes on after its service is withdrawn, or after it is cancelled, also beside short jobs in batches."""

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import notify
from benchmarks.sample_jobs import sleep
from benchmarks.table.running import running
from benchmarks.table.sides import BIN, Side
from notify.testing import wait_until
from workers import Job, Queue

__all__ = ["stops", "stops_text"]

LONG: Final = 4
"""Jobs that run when their service is withdrawn, with eight horses; one with one horse."""
EACH: Final = 200
"""Samples of a row."""
SHORT: Final = 300
"""Short jobs that are put into the queue again and again."""
PAST_THE_START_S: Final = 0.05


def stops(bus: notify.Bus, *, rounds: int, jobs: int | None, names: Sequence[str]) -> dict[str, list[float]]:
    """Return milliseconds by row, from the withdrawal or the call of `cancel` to the event of the end. ``rounds`` is not used."""
    count, found = jobs or EACH, dict[str, list[float]]()
    for size, has_batches in ((1, False), (8, False), (8, True)):
        where = f"{size} horse{'s' * (size > 1)}{', beside short jobs in batches' * has_batches}"
        with _workers(bus, size), bus.subscribe("job.bench") as ends, _short_jobs(bus, is_on=has_batches):
            found[f"service withdrawn, {where}"] = _withdrawn(bus, ends, count, together=LONG if size > 1 else 1)
            found[f"cancelled, {where}"] = _cancelled(bus, ends, count // 4, together=LONG if size > 1 else 1)
    return found


def stops_text(found: dict[str, list[float]]) -> str:
    """Return a table of the medians."""
    lines = ["stop of a running job"]
    for row, samples in found.items():
        each = sorted(samples)
        p99 = each[min(len(each) - 1, int(len(each) * 0.99))]
        lines.append(f"  {row:<64} p50 {statistics.median(each):5.1f} ms   p99 {p99:5.1f} ms   max {each[-1]:5.1f} ms   (n={len(each)})")
    return "\n".join(lines)


@contextmanager
def _workers(bus: notify.Bus, size: int) -> Iterator[None]:
    bus.redis.flushdb()
    queues = ("bench", "bench-throughput", "--import", "benchmarks.sample_jobs", "--import", "benchmarks.peer_notify")
    side = Side("", "workers", "", (f"{BIN}/notify", "worker", *queues, "--number", "{size}"))
    with running(bus, side, size=size):
        wait_until(lambda: bus.redis.scard("rq:workers") == size, timeout_s=20, what="the workers")
        yield


@contextmanager
def _short_jobs(bus: notify.Bus, *, is_on: bool) -> Iterator[None]:
    """Keep the queue filled with jobs that do nothing."""
    queue, over = Queue("bench-throughput", connection=bus.redis), threading.Event()

    def feed() -> None:
        while not over.wait(0.02):
            if queue.count < SHORT:
                queue.enqueue_many([queue.prepare_data("benchmarks.peer_notify.nothing", (0,), result_ttl=1) for _ in range(SHORT)])

    thread = threading.Thread(target=feed)
    if is_on:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if is_on:
            thread.join()


def _withdrawn(bus: notify.Bus, ends: notify.Subscriber, count: int, *, together: int) -> list[float]:
    found: list[float] = []
    while len(found) < count:
        with bus.service("bench-service") as service:
            jobs = _running(bus, together)
            killed_ms = int(bus.directory.kill(service.name).partition("-")[0])
            found += [at_ms - killed_ms for at_ms in _stopped_ms(ends, jobs).values()]
    return found


def _cancelled(bus: notify.Bus, ends: notify.Subscriber, count: int, *, together: int) -> list[float]:
    client: Any = bus.redis
    found: list[float] = []
    with bus.service("bench-service"):
        while len(found) < count:
            jobs, at_ms = _running(bus, together), {}
            for job in jobs:
                seconds, microseconds = client.time()
                at_ms[job.id] = seconds * 1000 + microseconds / 1000
                job.cancel()
            found += [max(0.0, ended_ms - at_ms[job_id]) for job_id, ended_ms in _stopped_ms(ends, jobs).items()]
    return found


def _running(bus: notify.Bus, count: int) -> list[Job]:
    """Return jobs that run, past their starts."""
    queue = Queue("bench", connection=bus.redis)
    jobs = [queue.enqueue(sleep, 60) for _ in range(count)]
    wait_until(lambda: all(job.get_status() == "started" for job in jobs), timeout_s=20, what="the start of the jobs")
    time.sleep(PAST_THE_START_S)
    return jobs


def _stopped_ms(events: notify.Subscriber, jobs: Sequence[Job]) -> dict[str, int]:
    """Return when each of some jobs was told to be stopped."""
    wanted, found = {job.id for job in jobs}, dict[str, int]()
    while len(found) < len(wanted):
        event: Any = events.get(10.0)
        assert isinstance(event, notify.Event), f"no event of the end of {len(wanted) - len(found)} jobs"
        contents: Any = event.contents
        if isinstance(contents, dict) and contents["status"] == "stopped" and contents["job"] in wanted:
            found[contents["job"]] = int(str(event.id).partition("-")[0])
    return found
