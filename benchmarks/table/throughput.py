"""Jobs by one worker process: jobs that do nothing, that do one INCR, that take 1 ms and 10 ms, and async jobs side by side."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import rq

import notify
from benchmarks.peer_rq import QUEUE
from benchmarks.table.rounds import Measured, Rounds, play
from benchmarks.table.running import environ_of, fill, measure, running, warm_up
from benchmarks.table.sides import ASYNC, BIN, SIDES, Side, chosen

__all__ = ["async_jobs", "paced_jobs", "short_jobs"]

COUNT: Final = 2_000
OF_1_MS: Final = 300
OF_10_MS: Final = 60
MOMENTS: Final = 2_000
PACED: Final = tuple(name for name, side in SIDES.items() if not side.is_apart and name != "blitzq-bare")
"""Without the sides that start a process for each job, and what results cost shows in the short jobs."""


def short_jobs(bus: notify.Bus, *, rounds: int, jobs: int | None, names: Sequence[str]) -> list[Rounds]:
    """Jobs that do nothing, and jobs of one INCR, as many at a time as each side likes."""
    count = jobs or COUNT
    return _play(bus, {"nothing": count, "increment": count}, rounds=rounds, names=names, title="short_jobs")


def paced_jobs(bus: notify.Bus, *, rounds: int, jobs: int | None, names: Sequence[str]) -> list[Rounds]:
    """Jobs that wait for 1 ms and for 10 ms, one at a time on every side."""
    counts = {"pause_1ms": jobs or OF_1_MS, "pause_10ms": jobs or OF_10_MS}
    return _play(bus, counts, rounds=rounds, names=names, title="paced_jobs", among=PACED, is_alone=True)


def async_jobs(bus: notify.Bus, *, rounds: int, jobs: int | None, names: Sequence[str]) -> list[Rounds]:
    """Async jobs that wait for 50 ms, a hundred of them side by side in one process."""
    return _play(bus, {"take_a_moment": jobs or MOMENTS}, rounds=rounds, names=names, title="async_jobs", among=ASYNC)


def _play(
    bus: notify.Bus,
    counts: Mapping[str, int],
    *,
    rounds: int,
    names: Sequence[str],
    title: str,
    among: Sequence[str] = tuple(SIDES),
    is_alone: bool = False,
) -> list[Rounds]:
    sides: dict[str, Callable[[], Mapping[str, Measured]]] = {}
    for name, side in chosen(names, among).items():
        sides[name] = partial(_round, bus, side, counts, is_alone=is_alone) if name != "rq" else partial(_round_of_rq, bus, counts)
    return play(sides, rounds=rounds, title=title)


def _round(bus: notify.Bus, side: Side, counts: Mapping[str, int], *, is_alone: bool) -> dict[str, Measured]:
    bus.redis.flushdb()
    environ = environ_of(bus, side, is_alone=is_alone)
    with running(bus, side, is_alone=is_alone) as pid:
        warm_up(bus, side, next(iter(counts)), environ)
        return {job: measure(bus, side, pid, job, count=count, environ=environ) for job, count in counts.items()}


def _round_of_rq(bus: notify.Bus, counts: Mapping[str, int]) -> dict[str, Measured]:
    """By what RQ notes of its jobs: each is a process of its own, and cannot count the others."""
    bus.redis.flushdb()
    found = {}
    for job, count in counts.items():
        few = min(count, SIDES["rq"].few)
        fill(SIDES["rq"], job, few, environ_of(bus, SIDES["rq"]))
        command = [f"{BIN}/rq", "worker", QUEUE, "--burst", "--quiet", "--url", str(bus.settings.url)]
        subprocess.run(command, env=environ_of(bus, SIDES["rq"]), check=True, capture_output=True)
        ids = rq.registry.FinishedJobRegistry(QUEUE, connection=bus.redis).get_job_ids()
        jobs = [each for each in rq.job.Job.fetch_many(ids, bus.redis) if each is not None]
        starts, ends = [each.started_at for each in jobs if each.started_at], [each.ended_at for each in jobs if each.ended_at]
        assert len(starts) == len(ends) == few, f"{len(ends)} of {few} jobs of RQ have ended"
        found[job] = Measured(per_s=(few - 1) / (max(starts) - min(starts)).total_seconds())
        bus.redis.flushdb()
    return found
