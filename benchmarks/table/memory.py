"""PSS of all processes of 1, 4 and 8 workers, idle after 1,000 jobs of one INCR."""

import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import notify
from benchmarks.process_memory import pss_mib
from benchmarks.table.running import environ_of, fill, running, wait_for
from benchmarks.table.sides import Side, chosen
from benchmarks.tally import COUNTER
from workers.rq_keys import queue as queue_key

__all__ = ["memory_of_workers", "memory_text"]

SIZES: Final = (1, 4, 8)
COUNT: Final = 1_000
SETTLE_S: Final = 1.5
"""Seconds after the last job; an idle horse of ours closes its connections after one."""
AMONG: Final = ("notify", "rq", "huey", "celery", "dramatiq", "taskiq", "blitzq", "ardiq")


def memory_of_workers(bus: notify.Bus, *, rounds: int, jobs: int | None, names: Sequence[str]) -> dict[str, dict[int, list[float]]]:
    """Return MiB by side and number of workers, of every round."""
    found: dict[str, dict[int, list[float]]] = {}
    for _ in range(rounds):
        for size in SIZES:
            for name, side in chosen(names, AMONG).items():
                try:
                    mib = _after_jobs(bus, name, side, size, jobs or COUNT)
                except Exception as exc:
                    print(f"  memory: {name} with {size}: {exc}", file=sys.stderr, flush=True)
                else:
                    found.setdefault(name, {}).setdefault(size, []).append(mib)
    return found


def memory_text(found: Mapping[str, Mapping[int, Sequence[float]]]) -> str:
    """Return a table of the medians."""
    lines = [f"PSS in MiB of {', '.join(map(str, SIZES))} workers, with all their processes"]
    for name, by_size in found.items():
        lines.append(f"  {name:<24}" + " / ".join(f"{statistics.median(each):.0f}" for each in by_size.values()))
    return "\n".join(lines)


def _after_jobs(bus: notify.Bus, name: str, side: Side, size: int, count: int) -> float:
    bus.redis.flushdb()
    client: Any = bus.redis
    with running(bus, side, size=size) as pid:
        if name == "rq":
            fill(side, "increment", min(count, side.few), environ_of(bus, side))
            wait_for(lambda: not client.llen(queue_key("bench-rq")), "the end of RQ's jobs")
        else:
            fill(side, "increment", count, environ_of(bus, side))
            wait_for(lambda: int(client.get(COUNTER) or 0) >= count, f"the end of the jobs of {name}")
        time.sleep(SETTLE_S)
        return pss_mib(pid)
