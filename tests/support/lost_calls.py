"""Jobs that fail because a service is gone, and a worker in this process that runs them when a test says so, with no watcher beside it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from unittest import mock

import notify
from notify.errors import FencedError, NotifyError, RequestTimeoutError, ServiceKilledError, ServiceNotFoundError, ServiceWithdrawnError
from tests.support.sample_jobs import count
from tests.support.workers_here import HorseHere, ModelWorker
from workers import StorageKilledError, current_bus, job
from workers.horse.horse import HorseEnd

SERVICE: Final = "svc"


def lose(bus: notify.Bus, *, kill: bool = False) -> int:
    """Withdraw the service, and return its incarnation."""
    incarnation = bus.directory.lookup(SERVICE).incarnation
    bus.directory.withdraw(SERVICE, incarnation, reason="killed" if kill else "withdrawn")
    return incarnation


def grow_silent(bus: notify.Bus, name: str = SERVICE) -> int:
    """Have the last heartbeat of a service be a minute ago, and return its incarnation."""
    key = bus.keys.service(name)
    raw: Any = bus.redis.hmget(key, "beat_ms", "incarnation")
    bus.redis.hset(key, "beat_ms", int(raw[0]) - 60_000)
    return int(raw[1])


def not_found(bus: notify.Bus) -> NotifyError:
    lose(bus)
    try:
        bus.directory.lookup(SERVICE)
    except ServiceNotFoundError as exc:
        return exc
    raise AssertionError("it is there")


def lost(kind: type[NotifyError]) -> Callable[[notify.Bus], NotifyError]:
    return lambda bus: kind("it is gone").about(SERVICE, incarnation=lose(bus, kill=issubclass(kind, ServiceKilledError)))


def timed_out(bus: notify.Bus) -> NotifyError:
    return RequestTimeoutError("no answer").about(SERVICE, incarnation=bus.directory.lookup(SERVICE).incarnation)


ERRORS: Final[dict[str, Callable[[notify.Bus], Exception]]] = {
    "ServiceWithdrawnError": lost(ServiceWithdrawnError),
    "ServiceKilledError": lost(ServiceKilledError),
    "StorageKilledError": lost(StorageKilledError),
    "ServiceNotFoundError": not_found,
    "FencedError": lost(FencedError),
    "RequestTimeoutError": lost(RequestTimeoutError),
    "RequestTimeoutError, and the service is slow": timed_out,
    "any other error": lambda bus: RuntimeError(f"{lose(bus)} is gone, but this error does not say so"),
}


@job("work")
def fail(name: str) -> None:
    count(f"{name}:begun")
    with current_bus() as bus:
        raise ERRORS[name](bus)


@job("work")
def fail_from(name: str) -> None:
    count(f"{name}:begun")
    with current_bus() as bus:
        raise RuntimeError("the order failed") from ERRORS[name](bus)


@job("work")
def catch(name: str) -> str:
    try:
        fail(name)
    except NotifyError:
        return "done without"
    return ""


@job("work")
def miss(provider: str) -> None:
    """Fail because one provider of ``print`` is gone."""
    count("begun")
    with current_bus() as bus:
        incarnation = bus.directory.lookup(provider).incarnation
        bus.directory.kill(provider)
        raise ServiceKilledError("it is gone").about(provider, incarnation=incarnation, capabilities=["print"])


@job("work")
def grow_old(kind: str) -> None:
    """Fail while the service is silent for longer than its ttl, and nobody has withdrawn it yet."""
    with current_bus() as bus:
        incarnation = grow_silent(bus)
        error = RequestTimeoutError if kind == "timeout" else ServiceNotFoundError
        raise error("no answer").about(SERVICE, incarnation=incarnation)


class _Horse(HorseHere):
    def wait(self, _timeout_s: float) -> HorseEnd:
        return self._child._performer.perform(self._tasks.pop(0))


def lone_worker(bus: notify.Bus) -> ModelWorker:
    """A worker without background threads. Its jobs run in this process."""
    child = ModelWorker(["work"], "lone", connection=bus.redis, modules=[__name__])
    horse = _Horse(child)
    with mock.patch("workers.worker.parts.Horse", return_value=horse):
        worker = ModelWorker(["work"], "lone", connection=bus.redis, modules=[__name__], window=1)
    worker.register_birth()
    return worker


def run_next(worker: ModelWorker) -> None:
    """Run the job that is first in the queue, and record its end."""
    taken = worker._loop.next_job(None, None)
    assert taken is not None, "there is no job"
    worker._loop.execute(*taken)
    worker._loop.record_returned()


def table() -> dict[tuple[str, str], str]:
    """The README's table of errors and policies: the end of a job, by the error and the column."""
    readme = (Path(__file__).parent.parent.parent / "README.md").read_text()
    _, _, rest = readme.partition("| the function raises |")
    heads, _, *rows = [line.strip("| ").split(" | ") for line in rest.partition("\n\n")[0].splitlines()]
    ends = {}
    for names, *cells in rows:
        for name in re.findall("`([^`]+)`", names):
            ends.update({(name, head): cell for head, cell in zip(heads, cells, strict=True)})
    return ends


@job("work", needs="shop", on_loss="hold")
def order(number: int) -> int:
    """Have a service do the work."""
    with current_bus() as bus:
        done: int = bus.call("shop", "sell", number, timeout_s=5)
    return done
