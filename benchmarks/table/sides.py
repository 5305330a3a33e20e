"""The sides: the command that runs the workers of a library, with its fastest sensible settings, and what fills its queue."""

import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

__all__ = ["ASYNC", "PEERS_PYTHON", "SIDES", "Side", "chosen"]

PEERS_PYTHON: Final = "BENCH_PEERS_PYTHON"
"""The variable that names an interpreter with arq and SAQ, which want an older redis-py than we do.

Without it ``peers/bin/python`` in the virtual environment of this one counts; without that they are left out.
"""
BIN: Final = str(Path(sys.executable).parent)


class Side(msgspec.Struct, frozen=True):
    """A library with one set of settings.

    Args:
        what: what is measured, for the reader.
        package: what must be installed.
        fill: the argument of `benchmarks.preload` that fills its queue.
        command: runs its workers; ``{size}`` is the number of processes, ``{url}`` the server.
        many: options for many jobs at a time, where the library does that.
        alone: options for one job at a time.
        is_async: whether the jobs are coroutines.
        is_older: whether it wants the older redis-py.
        few: not 0 if each job has a process of its own, which is started for it: so many jobs are done at most.
    """

    what: str
    package: str
    fill: str
    command: tuple[str, ...]
    many: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    is_async: bool = False
    is_older: bool = False
    few: int = 0

    @property
    def is_apart(self) -> bool:
        return self.few > 0

    @property
    def python(self) -> str:
        return os.environ.get(PEERS_PYTHON, str(Path(sys.prefix, "peers", "bin", "python"))) if self.is_older else sys.executable

    @property
    def is_here(self) -> bool:
        """Whether it can be run."""
        if self.is_older:
            return Path(self.python).exists()
        return importlib.util.find_spec(self.package) is not None

    def line(self, *, url: str, size: int = 1, is_alone: bool = False) -> list[str]:
        """Return the command line for a number of processes."""
        parts = [*self.command, *(self.alone if is_alone else self.many)]
        return [part.format(python=self.python, size=size, url=url) for part in parts]


OURS: Final = (f"{BIN}/notify", "worker", "bench-throughput", "--import", "benchmarks.peer_notify", "--number", "{size}")
RQ: Final = (f"{BIN}/rq", "worker-pool", "bench-rq", "--quiet", "--url", "{url}", "--num-workers", "{size}")
MODULE: Final = ("{python}", "-m")
HUEY: Final = (*MODULE, "huey.bin.huey_consumer", "benchmarks.peer_huey.huey", "--worker-type", "process", "--no-periodic", "--quiet")
CELERY: Final = (*MODULE, "celery", "-A", "benchmarks.peer_celery", "worker", "--pool", "prefork", "--loglevel", "ERROR")
QUIET: Final = ("--without-gossip", "--without-mingle", "--without-heartbeat")
BLITZQ: Final = (*MODULE, "blitzq", "worker", "--log-level", "ERROR", "--workers", "{size}")
ONE: Final = ("--concurrency", "1", "--threads", "1", "--processes", "1")
ARDIQ: Final = (*MODULE, "ardiq", "run", "--quiet", "--workers", "{size}")

SIDES: Final[Mapping[str, Side]] = {
    "notify": Side("notify worker", "workers", "notify:at_once", OURS),
    "notify-lean": Side("notify worker --lean", "workers", "notify:at_once", (*OURS, "--lean")),
    "rq": Side("rq worker, which forks for each job", "rq", "rq:at_once", RQ, few=40),
    "huey": Side("huey, a process", "huey", "huey", (*HUEY, "--workers", "{size}")),
    "celery": Side("Celery, prefork", "celery", "celery", (*CELERY, *QUIET, "--concurrency", "{size}")),
    "dramatiq": Side(
        "Dramatiq, a process of eight threads",
        "dramatiq",
        "dramatiq",
        (*MODULE, "dramatiq", "benchmarks.peer_dramatiq:broker", "--processes", "{size}"),
        many=("--threads", "8"),
        alone=("--threads", "1"),
    ),
    "taskiq": Side(
        "taskiq, coroutines",
        "taskiq_redis",
        "taskiq",
        (*MODULE, "taskiq", "worker", "benchmarks.peer_taskiq:broker", "--workers", "{size}", "--log-level", "ERROR"),
        alone=("--max-async-tasks", "1"),
        is_async=True,
    ),
    "arq": Side("arq, coroutines", "arq", "arq", (*MODULE, "arq", "benchmarks.peer_arq.WorkerSettings"), is_async=True, is_older=True),
    "saq": Side("SAQ, coroutines", "saq", "saq", (*MODULE, "saq", "benchmarks.peer_saq.settings"), is_async=True, is_older=True),
    "blitzq": Side(
        "BlitzQ, reliable, functions in threads, results", "blitzq", "blitzq:at_once", (*BLITZQ, "benchmarks.peer_blitzq:queue"), alone=ONE
    ),
    "blitzq-process": Side(
        "BlitzQ, reliable, in a process of its pool, results",
        "blitzq",
        "blitzq:preload_processes",
        (*BLITZQ, "benchmarks.peer_blitzq:processes"),
        many=("--processes", "1"),
        alone=ONE,
    ),
    "blitzq-bare": Side(
        "BlitzQ, reliable, functions in threads, no results",
        "blitzq",
        "blitzq:preload_bare",
        (*BLITZQ, "benchmarks.peer_blitzq:bare"),
        alone=ONE,
    ),
    "blitzq-async": Side(
        "BlitzQ, reliable, coroutines, no results",
        "blitzq",
        "blitzq:preload_coroutines",
        (*BLITZQ, "benchmarks.peer_blitzq:coroutines"),
        alone=ONE,
        is_async=True,
    ),
    "ardiq": Side("ArdiQ, functions in threads, results", "ardiq", "ardiq:at_once", (*ARDIQ, "benchmarks.peer_ardiq:app")),
    "ardiq-process": Side(
        "ArdiQ, each in a process of its own, results",
        "ardiq",
        "ardiq:preload_processes",
        (*ARDIQ, "benchmarks.peer_ardiq:processes"),
        few=8,
    ),
    "ardiq-async": Side(
        "ArdiQ, coroutines, results", "ardiq", "ardiq:preload_coroutines", (*ARDIQ, "benchmarks.peer_ardiq:coroutines"), is_async=True
    ),
}
ASYNC: Final = ("notify", *(name for name, side in SIDES.items() if side.is_async))
"""The sides that run coroutines side by side."""


def chosen(names: Sequence[str], among: Sequence[str]) -> dict[str, Side]:
    """Return the sides that are asked for, of some, as far as they can be run; all of these by default."""
    return {name: SIDES[name] for name in among if (not names or name in names) and SIDES[name].is_here}
