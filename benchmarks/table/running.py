"""Runs the workers of a side, and measures jobs: a warm worker is stopped on a full queue and let go."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

import notify
from benchmarks.process_memory import family_of
from benchmarks.table.rounds import Measured
from benchmarks.table.sides import Side
from benchmarks.tally import APART, AT_ONCE, DONE, URL

__all__ = ["SideError", "environ_of", "fill", "measure", "running", "wait_for", "warm_up"]

WARM_UP: Final = 200
DONE_S: Final = 40
SLOW_US: Final = 500
"""Scripts that hold the server longer than this are counted."""
MANY: Final = 100
SILENT: Final = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}


class SideError(Exception):
    """A side did not do its jobs: it is left out of the round."""


def environ_of(bus: notify.Bus, side: Side, *, is_alone: bool = False) -> dict[str, str]:
    """Return the environment of the processes of a side."""
    url = str(bus.settings.url)
    at_once = "1" if is_alone else "2" if side.is_apart else str(MANY)  # two cores start two processes
    environ = {**os.environ, "NOTIFY_URL": url, URL: url, AT_ONCE: at_once, "PYTHONPATH": os.getcwd()}
    return {**environ, APART: "1"} if side.is_apart else environ


def fill(side: Side, job: str, count: int, environ: Mapping[str, str], *, how: str = "", is_timed: bool = False) -> float:
    """Fill the queue of a side, and return the seconds that this took."""
    command = [side.python, "-m", "benchmarks.preload", how or side.fill, job, str(count), *(["timed"] if is_timed else [])]
    done = subprocess.run(command, env=dict(environ), check=False, capture_output=True, text=True)
    if done.returncode:
        raise SideError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-500:]}")
    return float(done.stdout.split()[-1])


@contextmanager
def running(bus: notify.Bus, side: Side, *, size: int = 1, is_alone: bool = False) -> Iterator[int]:
    """Run the command of a side. Yields its process id."""
    command = side.line(url=str(bus.settings.url), size=size, is_alone=is_alone)
    process = subprocess.Popen(command, env=environ_of(bus, side, is_alone=is_alone), start_new_session=True, **SILENT)  # type: ignore[call-overload]
    try:
        yield process.pid
    finally:
        _end(process)


def measure(bus: notify.Bus, side: Side, pid: int, job: str, *, count: int, environ: Mapping[str, str]) -> Measured:
    """Have a side that runs, and is warm, do jobs: the time from the start of the first one to that of the last counts."""
    count = min(count, side.few or count)
    family = family_of(pid)
    _signal(family, signal.SIGSTOP)
    try:
        fill(side, job, count, environ)
        bus.redis.config_set("slowlog-log-slower-than", SLOW_US)
        bus.redis.slowlog_reset()
        before = _costs(bus)
    finally:
        _signal(family, signal.SIGCONT)
    seconds = await_done(bus)
    after = _costs(bus)
    slow: Any = bus.redis.slowlog_get(1000)
    bus.redis.config_set("slowlog-log-slower-than", -1)
    return Measured(
        per_s=(count - 1) / seconds,
        server_us=1e6 * (after[0] - before[0]) / count,
        commands=(after[1] - before[1]) / count,
        slow_scripts=sum(entry["command"].upper().startswith(b"EVAL") for entry in slow),
    )


def warm_up(bus: notify.Bus, side: Side, job: str, environ: Mapping[str, str]) -> None:
    """Wait until a side has started and done some jobs."""
    bus.redis.delete(DONE)
    fill(side, job, 2 if side.is_apart else WARM_UP, environ)
    await_done(bus)


def await_done(bus: notify.Bus) -> float:
    """Wait until all jobs of a round were done. Returns the seconds that they took."""
    told = bus.redis.exchange("BLPOP", DONE, DONE_S, timeout_s=DONE_S + 5.0)
    if told is None:
        raise SideError("the jobs were not done in time")
    return float(told[1])


def wait_for(is_done: Callable[[], bool], what: str, *, timeout_s: float = 60.0) -> None:
    """Wait for something that is polled."""
    deadline = time.monotonic() + timeout_s
    while not is_done():
        if time.monotonic() > deadline:
            raise SideError(f"{what} did not come within {timeout_s:.0f} s")
        time.sleep(0.02)


def _costs(bus: notify.Bus) -> tuple[float, int]:
    """Return the seconds of processor time of the server, and the number of commands that it has done, also those within scripts."""
    cpu: Any = bus.redis.info("cpu")
    stats: Any = bus.redis.info("commandstats")
    return cpu["used_cpu_user"] + cpu["used_cpu_sys"], sum(each["calls"] for name, each in stats.items() if "eval" not in name)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _end(process: subprocess.Popen[bytes]) -> None:
    family = family_of(process.pid)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(5)
    _signal([pid for pid in family if pid != process.pid] if process.poll() is not None else family, signal.SIGKILL)
    process.wait()
