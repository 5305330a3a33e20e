"""Alternating rounds: each side once in every round, medians of all rounds, and the raw rounds in a file."""

import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import msgspec

import notify

__all__ = ["Measured", "Rounds", "environment", "keep", "play"]

FOLDER: Final = Path("benchmarks/rounds")
PACKAGES: Final = ("redis", "hiredis", "rq", "huey", "celery", "dramatiq", "taskiq", "taskiq-redis", "blitzq", "ardiq")


class Measured(msgspec.Struct, frozen=True, omit_defaults=True):
    """One side in one round: its rate, and what a job cost the server."""

    per_s: float
    server_us: float = 0.0
    commands: float = 0.0
    slow_scripts: int = 0


class Rounds(msgspec.Struct):
    """All rounds of one row: by side, in their order. A side that did not do its jobs in a round is missing in it."""

    row: str
    sides: dict[str, list[Measured]]
    failures: list[str]

    def median(self, side: str, field: str = "per_s") -> float:
        """Return the median of a side; not a number without a round."""
        found = [getattr(each, field) for each in self.sides.get(side, ())]
        return statistics.median(found) if found else float("nan")

    def text(self, ours: str = "notify") -> str:
        """Return a table, the fastest first; each ratio is that of ours to it."""
        own = self.median(ours)
        lines = [f"{self.row}"]
        for side in sorted(self.sides, key=lambda name: -self.median(name) if self.sides[name] else 0.0):
            if not (found := [each.per_s for each in self.sides[side]]):
                continue
            middle = statistics.median(found)
            costs = ""
            if self.median(side, "server_us"):
                costs = f"   server {self.median(side, 'server_us'):5.0f} us, {self.median(side, 'commands'):5.1f} commands"
                costs += f", {max(each.slow_scripts for each in self.sides[side])} scripts above 0.5 ms"
            ratio = f"ratio {own / middle:6.2f}" if self.sides.get(ours) else ""
            lines.append(f"  {side:<24}{middle:>10,.0f}/s   {min(found):>9,.0f} to {max(found):>9,.0f}   {ratio}{costs}")
        return "\n".join([*lines, *(f"  {each}" for each in self.failures)])


def play(sides: Mapping[str, Callable[[], Mapping[str, Measured]]], *, rounds: int, title: str) -> list[Rounds]:
    """Run every side once in each round, in another order each time. A side returns what it measured for each row."""
    found: dict[str, Rounds] = {}
    names, order = list(sides), random.Random(rounds)
    for number in range(rounds):
        order.shuffle(names)
        for name in names:
            try:
                measured = sides[name]()
            except Exception as exc:
                failure = f"{name}, round {number + 1}: {exc}"
                for each in found.values():
                    each.failures.append(failure)
                print(f"  {title}: {failure}", file=sys.stderr, flush=True)
                continue
            for row, each in measured.items():
                rounds_of = found.setdefault(row, Rounds(row, {side: [] for side in sides}, []))
                rounds_of.sides[name].append(each)
    return list(found.values())


def environment(bus: notify.Bus) -> dict[str, Any]:
    """Return what the figures depend on."""
    info: Any = bus.redis.info("server")
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    server = f"valkey {info['valkey_version']}" if "valkey_version" in info else f"redis {info['redis_version']}"
    return {
        "python": platform.python_version(),
        "server": server,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "packages": versions,
    }


def keep(name: str, contents: Mapping[str, Any]) -> Path:
    """Write the raw rounds of a benchmark into a file of the day, and return its path."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{time.strftime('%Y-%m-%d')}-{name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(dict(contents)), indent=1) + b"\n")
    return path
