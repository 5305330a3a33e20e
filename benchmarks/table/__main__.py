"""Run the table, or parts of it, on a server of its own: ``python -m benchmarks.table [NAME...] [--rounds 5] [--jobs N] [--sides A,B]``."""

import argparse
import os
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

import notify
from benchmarks.losses import QUEUED, loss_of_a_service
from benchmarks.server import loopback_server
from benchmarks.table.enqueueing import enqueueing
from benchmarks.table.memory import memory_of_workers, memory_text
from benchmarks.table.rounds import Rounds, environment, keep
from benchmarks.table.sides import SIDES
from benchmarks.table.stops import stops, stops_text
from benchmarks.table.throughput import async_jobs, paced_jobs, short_jobs


def _rows(found: list[Rounds]) -> str:
    return "\n".join(each.text() for each in found)


def _losses(bus: notify.Bus, *, rounds: int, jobs: int | None, names: Any) -> list[str]:
    """Withdraw the service that 100,000 queued jobs need; one round."""
    bus.redis.flushdb()
    return [loss_of_a_service(bus, queued=jobs or QUEUED)]


ROWS: Final[dict[str, tuple[Callable[..., Any], Callable[[Any], str], int]]] = {
    "short_jobs": (short_jobs, _rows, 5),
    "paced_jobs": (paced_jobs, _rows, 5),
    "async_jobs": (async_jobs, _rows, 5),
    "enqueueing": (enqueueing, _rows, 5),
    "memory": (memory_of_workers, memory_text, 1),
    "stops": (stops, stops_text, 1),
    "losses": (_losses, "\n".join, 1),
}
"""By name: what measures, what makes a text of it, and how many rounds by default."""


def main() -> None:
    """Parse the command line, and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.table", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all by default: {', '.join(ROWS)}")
    parser.add_argument("--rounds", type=int, help="alternating rounds; by default 5, of memory, stops and losses 1")
    parser.add_argument("--jobs", type=int, help="jobs of a round, or samples of stops")
    parser.add_argument("--sides", default="", help=f"with commas: {', '.join(SIDES)}")
    chosen = parser.parse_args()
    if unknown := {*chosen.names} - {*ROWS}:
        parser.error(f"there is no row {', '.join(sorted(unknown))}: choose from {', '.join(ROWS)}")
    with loopback_server() as url, notify.connect(url) as bus:
        where = environment(bus)
        print(", ".join(f"{name} {value}" for name, value in where.items()), flush=True)
        for name in chosen.names or ROWS:
            act, text_of, rounds = ROWS[name]
            began, load = time.monotonic(), os.getloadavg()[0]
            found = act(bus, rounds=chosen.rounds or rounds, jobs=chosen.jobs, names=[side for side in chosen.sides.split(",") if side])
            path = keep(
                name, {"environment": {**where, "load": [load, os.getloadavg()[0]]}, "rounds": msgspec.to_builtins(found, str_keys=True)}
            )
            print(
                f"{text_of(found)}\n  {time.monotonic() - began:.0f} s, load {load:.1f} to {os.getloadavg()[0]:.1f}, raw rounds in {path}",
                flush=True,
            )


if __name__ == "__main__":
    main()
