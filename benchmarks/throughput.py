"""Jobs by one worker process against huey, Dramatiq and taskiq, each with its fastest sensible settings for one process."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

import notify
from benchmarks.compare import compare_many
from benchmarks.tally import DONE, URL
from workers import Pool, WorkerOptions

__all__ = ["increments_per_process", "moments_side_by_side", "no_ops_per_process"]

COUNT: Final = 2_000
WARM_UP: Final = 200
START_S: Final = 30
PEERS_PYTHON: Final = "BENCH_PEERS_PYTHON"
"""The variable that names an interpreter with arq and SAQ, which want an older redis-py than we do; without it they are left out."""
OF_OTHERS: Final = ("arq", "saq")
PEERS: Final[Mapping[str, tuple[str, ...]]] = {
    # A worker process that blocks in the server while the queue is empty.
    "huey": (
        *("huey.bin.huey_consumer", "benchmarks.peer_huey.huey"),
        *("--workers", "1", "--worker-type", "process", "--no-periodic", "--quiet"),
    ),
    # Eight threads, its default for each process.
    "dramatiq": ("dramatiq", "benchmarks.peer_dramatiq:broker", "--processes", "1", "--threads", "8"),
    # Up to a hundred coroutines at a time, its default.
    "taskiq": ("taskiq", "worker", "benchmarks.peer_taskiq:broker", "--workers", "1", "--log-level", "ERROR"),
    "arq": ("arq", "benchmarks.peer_arq.WorkerSettings"),
    "saq": ("saq", "benchmarks.peer_saq.settings"),
}


def no_ops_per_process(bus: notify.Bus) -> str:
    """Jobs that do nothing, by one worker process."""
    return _against_peers(bus, "nothing", "no-op jobs, one process")


def increments_per_process(bus: notify.Bus) -> str:
    """Jobs that do one INCR, by one worker process."""
    return _against_peers(bus, "increment", "jobs of one INCR, one process")


def moments_side_by_side(bus: notify.Bus) -> str:
    """Async jobs that wait for 50 ms, a hundred of them side by side in one process. That allows 2,105/s."""
    return _against_peers(
        bus, "take_a_moment", "async jobs of 50 ms, 100 at a time", peers=("taskiq", *(OF_OTHERS if os.environ.get(PEERS_PYTHON) else ()))
    )


def _against_peers(bus: notify.Bus, job: str, work: str, *, peers: Sequence[str] = ("huey", "dramatiq", "taskiq")) -> str:
    sides = {name: partial(_rate, bus, name, job) for name in peers}
    return "\n".join(map(str, compare_many(work, partial(_rate, bus, "notify", job), sides)))


def _rate(bus: notify.Bus, side: str, job: str) -> float:
    """One round: a warm, stopped worker is resumed on a full queue; the time from its first job to its last is measured."""
    bus.redis.delete(DONE)
    environ = {**os.environ, URL: str(bus.settings.url)}
    with _worker(bus, side, environ) as group:
        _preload(side, job, WARM_UP, environ)
        _await_done(bus)
        os.killpg(group, signal.SIGSTOP)
        try:
            _preload(side, job, COUNT, environ)
        finally:
            os.killpg(group, signal.SIGCONT)
        return (COUNT - 1) / _await_done(bus)


@contextmanager
def _worker(bus: notify.Bus, side: str, environ: Mapping[str, str]) -> Iterator[int]:
    """Run the worker of a side. Yields its process group."""
    if side == "notify":
        modules = ("benchmarks.peer_notify",)
        options = WorkerOptions(settings=bus.settings, queues=("bench-throughput",), modules=modules, log_level="ERROR")
        with Pool(options, size=1, environ=environ) as pool:
            yield pool.processes[0].pid
        return
    command, silent = [_python_of(side), "-m", *PEERS[side]], subprocess.DEVNULL
    process = subprocess.Popen(command, env=dict(environ), start_new_session=True, stdout=silent, stderr=silent)
    try:
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _preload(side: str, job: str, count: int, environ: Mapping[str, str]) -> None:
    subprocess.run([_python_of(side), "-m", "benchmarks.preload", side, job, str(count)], env=dict(environ), check=True)


def _python_of(side: str) -> str:
    return os.environ[PEERS_PYTHON] if side in OF_OTHERS else sys.executable


def _await_done(bus: notify.Bus) -> float:
    told = bus.redis.exchange("BLPOP", DONE, START_S, timeout_s=START_S + 5.0)
    assert told is not None, "the jobs were not done in time"
    return float(told[1])
