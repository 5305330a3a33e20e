"""Checks of the server: its answers, persistence, eviction, memory, connections, role and clock."""

import time
from collections.abc import Iterator
from statistics import median
from typing import Any, Final

from workers.overview.doctor.facts import Facts
from workers.overview.doctor.finding import Finding, error, note, ok, warning

__all__ = ["check_clients", "check_clock", "check_eviction", "check_latency", "check_memory", "check_persistence", "check_role"]

PINGS: Final = 5
SLOW_MS: Final = 20.0
"""A server that takes longer for an answer slows every event and every job."""
FULL, NEARLY_FULL = 0.9, 0.75
CLOCK_S: Final = 1.0
"""A clock that differs by more is noted: times in the log and in jobs do not fit."""
WRONG_CLOCK_S: Final = 10.0
"""A clock that differs by more than this is wrong: schedules and lifetimes are computed from both."""
MIB: Final = 1024 * 1024


def check_latency(facts: Facts) -> Iterator[Finding]:
    """Measure how long the server takes for an answer."""
    times_ms = []
    for _ in range(PINGS):
        began_at = time.perf_counter()
        facts.client.ping()
        times_ms.append((time.perf_counter() - began_at) * 1000)
    said = f"{facts.client.address} answers in {median(times_ms):.2f} ms"
    if median(times_ms) > SLOW_MS:
        yield warning("latency", said, "look for slow commands (SLOWLOG GET), a busy machine, or a slow network")
    else:
        yield ok("latency", said)


def check_persistence(facts: Facts) -> Iterator[Finding]:
    """Look whether a restart of the server would lose jobs, and whether it can write."""
    info = facts.info
    if "aof_enabled" not in info:
        yield note("persistence", "not known: the server refuses INFO", "grant +info")
        return
    problems = list(_writing_problems(info))
    yield from problems
    if info.get("aof_enabled"):
        if not problems:
            yield ok("persistence", "the server logs each change to an append-only file")
        return
    saves = facts.setting("save")
    if saves is None:
        yield note(
            "persistence", "no append-only file; whether there are snapshots is not known: CONFIG GET is refused", "grant +config|get"
        )
    elif saves == "":
        yield warning(
            "persistence",
            "the server keeps nothing on disk: a restart loses all jobs and events",
            "set appendonly yes in its configuration",
        )
    elif not problems:
        yield ok("persistence", f"the server saves snapshots (save {saves}); a crash loses what came after the last one")


def _writing_problems(info: Any) -> Iterator[Finding]:
    remedy = "look at the log of the server: the disk is full, or the folder cannot be written"
    if info.get("loading"):
        yield error("persistence", "the server is loading its data and refuses commands", "wait until it has loaded them")
    if info.get("aof_enabled") and info.get("aof_last_write_status", "ok") != "ok":
        yield error("persistence", "the server cannot write its append-only file, and refuses changes", remedy)
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        yield error("persistence", "the last snapshot failed; by default the server then refuses changes", remedy)


def check_role(facts: Facts) -> Iterator[Finding]:
    """Look whether this is the primary server."""
    role = facts.info.get("role")
    if role == "slave":
        yield error(
            "role", "this server is a replica, and refuses every change", "connect to the primary, for example by redis+sentinel://"
        )
    elif role:
        yield ok("role", "this server is the primary")


def check_eviction(facts: Facts) -> Iterator[Finding]:
    """Look whether the server may delete keys when its memory is full."""
    policy = facts.info.get("maxmemory_policy")
    if policy is None:
        yield note("eviction", "not known: the server refuses INFO", "grant +info")
        return
    remedy = "set maxmemory-policy noeviction: a full server then refuses changes, and loses nothing"
    evicted = int(facts.info.get("evicted_keys", 0))
    if evicted:
        yield error("eviction", f"the server has deleted {evicted:,} keys because its memory was full ({policy})", remedy)
    elif policy == "noeviction":
        yield ok("eviction", "the server deletes no keys when its memory is full (noeviction)")
    elif facts.info.get("maxmemory"):
        yield error("eviction", f"the server deletes keys when its memory is full ({policy}): jobs and services would vanish", remedy)
    else:
        yield warning("eviction", f"the policy is {policy}: with a limit of memory the server would delete keys", remedy)


def check_memory(facts: Facts) -> Iterator[Finding]:
    """Look how much of its memory the server uses."""
    info = facts.info
    used = info.get("used_memory")
    if used is None:
        yield note("memory", "not known: the server refuses INFO", "grant +info")
        return
    limit, total = int(info.get("maxmemory", 0)), int(info.get("total_system_memory", 0))
    most, of = (limit, "maxmemory") if limit else (total, "the memory of its machine")
    if not most:
        yield ok("memory", f"the server uses {used / MIB:.0f} MiB")
        return
    said = f"the server uses {used / MIB:.0f} of {most / MIB:.0f} MiB ({of})"
    remedy = "raise maxmemory, delete what is not needed (notify job delete --all), or shorten result_ttl and retention_s"
    yield _filled("memory", used / most, said, full="soon it refuses changes", remedy=remedy)


def check_clients(facts: Facts) -> Iterator[Finding]:
    """Look how many connections the server has, and whether there is room for more."""
    connected, most = facts.info.get("connected_clients"), facts.info.get("maxclients")
    if connected is None or not most:
        yield note("connections", "not known: the server refuses INFO", "grant +info")
        return
    said = f"{connected} of {most} connections (maxclients) are open"
    remedy = "raise maxclients, or find who opens them: redis-cli CLIENT LIST"
    yield _filled("connections", connected / most, said, full="soon it accepts no more", remedy=remedy)


def check_clock(facts: Facts) -> Iterator[Finding]:
    """Compare the clock of the server with the one of this machine."""
    before_s = time.time()
    seconds, microseconds = facts.client.time()
    after_s = time.time()
    ahead_s = float(seconds) + microseconds / 1e6 - (before_s + after_s) / 2
    unsure_s = (after_s - before_s) / 2
    said = f"the clock of the server is {abs(ahead_s):.3f} s {'ahead of' if ahead_s > 0 else 'behind'} the clock of this machine"
    remedy = "synchronize both machines by NTP"
    if abs(ahead_s) - unsure_s > WRONG_CLOCK_S:
        yield error("clock", said, remedy)
    elif abs(ahead_s) - unsure_s > CLOCK_S:
        yield warning("clock", said, remedy)
    else:
        yield ok("clock", said)


def _filled(name: str, share: float, said: str, *, full: str, remedy: str) -> Finding:
    """Return the finding about something of which a share from 0 to 1 is used."""
    if share >= FULL:
        return error(name, f"{said}: {full}", remedy)
    return warning(name, said, remedy) if share >= NEARLY_FULL else ok(name, said)
