"""What idle workers cost those who enqueue: the same enqueues with one idle worker, and with twenty."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import notify
from benchmarks.sample_jobs import nothing
from notify.testing import wait_until
from workers import Queue
from workers.overview import find_workers

__all__ = ["enqueue_beside_idle_workers"]

COUNT: Final = 2_000
FEW, MANY = 1, 20
ROUNDS: Final = 5
COMMAND: Final = (str(Path(sys.executable).parent / "notify"), "worker", "bench", "--import", "benchmarks.sample_jobs", "--number")


def enqueue_beside_idle_workers(bus: notify.Bus) -> str:
    """Seconds for 2,000 single enqueues with one idle worker and with twenty, in turn; the workers take the jobs meanwhile."""
    seconds: dict[int, list[float]] = {FEW: [], MANY: []}
    for _ in range(ROUNDS):
        for size, found in seconds.items():
            with _idle(bus, size):
                found.append(_enqueue(bus))
    few, many = (statistics.median(found) for found in seconds.values())
    rounds = "   ".join(f"{size}: " + " ".join(f"{each:.2f}" for each in found) for size, found in seconds.items())
    return f"{'2,000 enqueues, 1 / 20 idle workers':<34} {few:.2f} / {many:.2f} s   ratio {many / few:.2f}   ({rounds})"


@contextmanager
def _idle(bus: notify.Bus, size: int) -> Iterator[None]:
    bus.redis.flushdb()
    environ = {**os.environ, "NOTIFY_URL": str(bus.settings.url), "PYTHONPATH": os.getcwd()}
    process = subprocess.Popen([*COMMAND, str(size)], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: len(find_workers(bus.redis)) == size, timeout_s=30)
        Queue("bench", connection=bus.redis).enqueue(nothing).wait(timeout_s=30)  # the modules are loaded
        time.sleep(1)  # all are idle again
        yield
    finally:
        process.terminate()
        process.wait()


def _enqueue(bus: notify.Bus) -> float:
    queue = Queue("bench", connection=bus.redis)
    began = time.perf_counter()
    jobs = [queue.enqueue(nothing) for _ in range(COUNT)]
    taken_s = time.perf_counter() - began
    for job in jobs[-100:]:
        ended = job.wait(timeout_s=30)
        assert ended is not None
        assert ended.status == "finished"
    return taken_s
