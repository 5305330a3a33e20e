"""The cost of a look-up, a heartbeat, an idle service and an idle sweep in a large directory."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import notify
from notify.directory.scripts import DirectoryScripts

__all__ = ["idle_services", "look_up_among_many"]

FEW: Final = 10
MANY: Final = 100_000
LOOKUPS: Final = 5_000
WATCHED_S: Final = 20.0


def look_up_among_many(bus: notify.Bus) -> str:
    """Medians of look-ups among 100,000 services and among 10, one of each in turn; and what an idle sweep sends."""
    with _filled(bus, "few", FEW) as few, _filled(bus, "many", MANY) as many:
        lines = []
        for work, look in LOOKS.items():
            pairs = [(_seconds(look, few), _seconds(look, many)) for _ in range(LOOKUPS)]
            small, large = (statistics.median(side) * 1e6 for side in zip(*pairs, strict=True))
            lines.append(f"{work:<34} {small:.0f} µs among 10, {large:.0f} µs among 100,000: ratio {large / small:.2f}")
        sweep = notify.Monitor(many.redis)
        sweep.sweep()
        before = _scripts_run(bus)
        sweep.sweep()
        return "\n".join([*lines, f"{'idle sweep among 100,000':<34} {_scripts_run(bus) - before} command"])


def idle_services(bus: notify.Bus) -> str:
    """Processor time of the server while services only send heartbeats, from 20 processes that also sweep, and memory per service."""
    few = _busy_share(bus, processes=20, each=50, ttl_s=5.0)
    many = _busy_share(bus, processes=20, each=500, ttl_s=15.0)
    return f"{'1,000 services, ttl 5 s':<34} {few}\n{'10,000 services, beating every 5 s':<34} {many}"


def _by_name(bus: notify.Bus) -> object:
    return bus.directory.lookup("service-7")


def _by_capability(bus: notify.Bus) -> object:
    return bus.directory.find(provides="rare")


def _by_common_capability(bus: notify.Bus) -> object:
    return bus.directory.find(provides="work")


LOOKS: Final[dict[str, Callable[[notify.Bus], object]]] = {
    "look-up by name": _by_name,
    "look-up by a capability of one": _by_capability,
    "look-up by a capability of all": _by_common_capability,
}


class _Collecting(DirectoryScripts):
    """Collects registrations, to be sent many at once."""

    def __init__(self, bus: notify.Bus) -> None:
        super().__init__(bus.redis)
        self.calls: list[tuple[Sequence[str], Sequence[str | bytes | int]]] = []

    def run(self, name: str, keys: Sequence[str], args: Sequence[str | bytes | int], *, action: str) -> Any:
        self.calls.append((keys, args))

    def send(self) -> None:
        self.run_many("register", self.calls, action="filling the directory")
        self.calls.clear()


@contextmanager
def _filled(bus: notify.Bus, namespace: str, count: int) -> Iterator[notify.Bus]:
    """A namespace with so many services."""
    settings = notify.Settings(url=bus.settings.url, namespace=namespace)
    with notify.connect(settings=settings) as filled:
        scripts = _Collecting(filled)
        for number in range(count):
            provides = ["rare", "work"] if number == FEW // 2 else ["work"]
            scripts.register(f"service-{number}", ttl_ms=86_400_000, provides=provides, groups=[], fields={"host": "lab-7", "pid": "4242"})
            if number % 1_000 == 999:
                scripts.send()
        scripts.send()
        yield filled


def _seconds(look: Callable[[notify.Bus], object], bus: notify.Bus) -> float:
    started = time.perf_counter()
    look(bus)
    return time.perf_counter() - started


def _scripts_run(bus: notify.Bus) -> int:
    """Number of scripts sent to the server so far. Calls within scripts do not count."""
    return int(_info(bus, "commandstats")["cmdstat_evalsha"]["calls"])


def _info(bus: notify.Bus, section: str) -> dict[str, Any]:
    found: Any = bus.redis.info(section)
    return dict(found)


def _busy_share(bus: notify.Bus, *, processes: int, each: int, ttl_s: float) -> str:
    before = _info(bus, "memory")["used_memory_dataset"]
    hosts = [_start_host(bus, number * each, each, ttl_s) for number in range(processes)]
    try:
        for host in hosts:
            assert host.stdout is not None
            assert host.stdout.readline() == "ready\n"
        time.sleep(ttl_s / 3)  # the first heartbeats load their scripts
        memory = (_info(bus, "memory")["used_memory_dataset"] - before) / (processes * each)
        busy, commands, started = _cpu_s(bus), _scripts_run(bus), time.perf_counter()
        time.sleep(WATCHED_S)
        passed_s = time.perf_counter() - started
        share = (_cpu_s(bus) - busy) / passed_s
        rate = (_scripts_run(bus) - commands) / passed_s
        alive = len(bus.directory.find_all())
    finally:
        for host in hosts:
            host.communicate()
    return f"{share:.1%} of a core of the server, {rate:.0f} commands/s, {memory:.0f} bytes a service, {alive} alive at the end"


def _start_host(bus: notify.Bus, first: int, count: int, ttl_s: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "benchmarks.service_host", str(bus.settings.url), str(first), str(count), str(ttl_s)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _cpu_s(bus: notify.Bus) -> float:
    used = _info(bus, "cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])
