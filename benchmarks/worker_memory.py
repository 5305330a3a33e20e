"""Memory of worker processes after jobs: ours against RQ's pool and the workers of others, and ours over many jobs."""

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import notify
from benchmarks.process_memory import pss_mib
from benchmarks.tally import COUNTER, URL
from workers import Queue
from workers.rq_keys import queue as queue_key

__all__ = ["memory_of_workers", "memory_over_many_jobs"]

ROUNDS: Final = 1
SIZES: Final = (1, 4, 8)
COUNT: Final = 1_000
FEW: Final = 100
"""Jobs of RQ, which forks for each and keeps nothing of them."""
SETTLE_S: Final = 1.5
"""Seconds after the last job; an idle horse closes its connections after one."""
WAIT_S: Final = 120
PYTHON: Final = (sys.executable, "-m")
BIN: Final = Path(sys.executable).parent
SIDES: Final[Mapping[str, tuple[str, ...]]] = {
    "notify worker": (str(BIN / "notify"), "worker", "bench-throughput", "--import", "benchmarks.peer_notify", "--number", "{size}"),
    "rq worker-pool": (str(BIN / "rq"), "worker-pool", "bench-rq", "--quiet", "--url", "{url}", "--num-workers", "{size}"),
    "huey": (
        *(*PYTHON, "huey.bin.huey_consumer", "benchmarks.peer_huey.huey", "--workers", "{size}"),
        *("--worker-type", "process", "--no-periodic", "--quiet"),
    ),
    "Dramatiq": (*PYTHON, "dramatiq", "benchmarks.peer_dramatiq:broker", "--processes", "{size}", "--threads", "8"),
    "taskiq": (*PYTHON, "taskiq", "worker", "benchmarks.peer_taskiq:broker", "--workers", "{size}", "--log-level", "ERROR"),
}
PEERS: Final = {"notify worker": "notify", "huey": "huey", "Dramatiq": "dramatiq", "taskiq": "taskiq"}

MANY: Final = 200_000
BATCH: Final = 10_000
ALLOWED_MIB: Final = 2.0


def memory_of_workers(bus: notify.Bus) -> str:
    """PSS in MiB of all processes of a command that runs 1, 4 and 8 workers, after 1,000 jobs; medians of rounds in turn."""
    found: dict[str, list[list[float]]] = {side: [[] for _ in SIZES] for side in SIDES}
    for _ in range(ROUNDS):
        for number, size in enumerate(SIZES):
            for side in SIDES:
                found[side][number].append(_after_jobs(bus, side, size))
    lines = [f"{'PSS in MiB with ' + ', '.join(map(str, SIZES)) + ' workers':<34}"]
    lines += [f"  {side:<32} " + " / ".join(f"{statistics.median(each):.0f}" for each in sizes) for side, sizes in found.items()]
    return "\n".join(lines)


def memory_over_many_jobs(bus: notify.Bus) -> str:
    """PSS of ``notify worker -n 2`` in the course of 200,000 jobs. It ends with an error if the second half adds to it."""
    with _running(bus, "notify worker", 2) as pid:
        queue, seen = Queue("bench-throughput", connection=bus.redis), []
        for _ in range(MANY // BATCH):
            queue.enqueue_many([queue.prepare_data("benchmarks.peer_notify.nothing", (0,)) for _ in range(BATCH)])
            _await(lambda: not bus.redis.llen(queue_key(queue.name)), "notify worker")
            time.sleep(SETTLE_S)
            seen.append(pss_mib(pid))
    half = len(seen) // 2
    grown = statistics.median(seen[-3:]) - statistics.median(seen[half - 1 : half + 2])
    assert grown < ALLOWED_MIB, f"{grown:.1f} MiB more over the second half of {MANY} jobs: {seen}"
    return f"{'PSS over 200,000 jobs, two workers':<34} " + ", ".join(f"{each:.0f}" for each in seen) + " MiB"


def _after_jobs(bus: notify.Bus, side: str, size: int) -> float:
    """One round: start the workers, have them do their jobs, and measure when they are idle."""
    bus.redis.flushdb()
    with _running(bus, side, size) as pid:
        if side in PEERS:
            environ = {**os.environ, URL: str(bus.settings.url)}
            subprocess.run([*PYTHON, "benchmarks.preload", PEERS[side], "increment", str(COUNT)], env=environ, check=True)
            _await(lambda: int(bus.redis.get(COUNTER) or 0) >= COUNT, side)
        else:
            plain = Queue("bench-rq", connection=bus.redis)
            for _ in range(FEW):
                plain.enqueue("time.time")
            _await(lambda: not bus.redis.llen(queue_key(plain.name)), side)
        time.sleep(SETTLE_S)
        return pss_mib(pid)


@contextmanager
def _running(bus: notify.Bus, side: str, size: int) -> Iterator[int]:
    url = str(bus.settings.url)
    command = [part.format(size=size, url=url) for part in SIDES[side]]
    environ = {**os.environ, "NOTIFY_URL": url, URL: url, "PYTHONPATH": os.getcwd()}
    silent = subprocess.DEVNULL
    process = subprocess.Popen(command, env=environ, start_new_session=True, stdout=silent, stderr=silent)
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _await(is_done: Callable[[], bool], side: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not is_done():
        assert time.monotonic() < deadline, f"{side} did not do its jobs in time"
        time.sleep(0.05)
