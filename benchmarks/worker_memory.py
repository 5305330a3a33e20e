"""Memory of worker processes after jobs: ours against RQ's pool and the workers of others."""

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

__all__ = ["SETTLE_S", "memory_of_workers", "running", "wait_for"]

ROUNDS: Final = 5
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


def _after_jobs(bus: notify.Bus, side: str, size: int) -> float:
    """One round: start the workers, have them do their jobs, and measure when they are idle."""
    bus.redis.flushdb()
    with running(bus, side, size) as pid:
        if side in PEERS:
            environ = {**os.environ, URL: str(bus.settings.url)}
            subprocess.run([*PYTHON, "benchmarks.preload", PEERS[side], "increment", str(COUNT)], env=environ, check=True)
            wait_for(lambda: int(bus.redis.get(COUNTER) or 0) >= COUNT, side)
        else:
            plain = Queue("bench-rq", connection=bus.redis)
            for _ in range(FEW):
                plain.enqueue("time.time")
            wait_for(lambda: not bus.redis.llen(queue_key(plain.name)), side)
        time.sleep(SETTLE_S)
        return pss_mib(pid)


@contextmanager
def running(bus: notify.Bus, side: str, size: int) -> Iterator[int]:
    """Run the command of a side. Yields its process id."""
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


def wait_for(is_done: Callable[[], bool], side: str) -> None:
    """Wait until a side has done its jobs."""
    deadline = time.monotonic() + WAIT_S
    while not is_done():
        assert time.monotonic() < deadline, f"{side} did not do its jobs in time"
        time.sleep(0.05)
