"""Registers a worker under its name. A name whose holder is dead is free again at once, or when the lease of the holder is over."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NoReturn

import msgspec
import redis

from notify.process import ProcessIdentity, this_process
from notify.server import Client
from workers import rq_keys
from workers.errors import WorkerNameTakenError
from workers.fleet.lease import LEASE_S
from workers.fleet.reaper import Reaper
from workers.rq import now, register_worker, shown_by_command, unregister_worker, utcformat

__all__ = ["leave_name", "register_again", "take_name"]

POLL_S: Final = 0.1
"""Seconds between two looks at the lease of a holder that may be dead."""
RENEWALS: Final = 2
"""So often a lease was renewed, the holder lives. One renewal can be that of all leases after the server was away."""
DEAD_S: Final = 60
"""Seconds for which the hash of a worker that has ended is kept, as RQ keeps it."""

log = logging.getLogger(__name__)


class _Holder(msgspec.Struct, frozen=True):
    """The worker that has a name.

    Args:
        process: its process; ``None`` if it has recorded none, as workers of plain RQ.
        lease_ms: when its lease ends, by the server's clock; ``None`` if it has none.
        now_ms: the clock of the server.
        job: the job that it runs, or empty.
        birth: when it was registered, as RQ writes it.
        place: its host and process id, for messages.
    """

    process: ProcessIdentity | None
    lease_ms: float | None
    now_ms: float
    job: str
    birth: str
    place: str

    @property
    def has_no_lease_left(self) -> bool:
        return self.lease_ms is not None and self.lease_ms <= self.now_ms


def take_name(worker: Any, client: Client, *, is_leaving: Callable[[], bool]) -> str:
    """Register a worker with RQ under its name, when the name is free.

    If another worker has the name and its process is certainly dead (same host, boot and pid namespace), it is reaped at once: its job
    is tried again, or fails. Otherwise this waits until the lease of the holder is over, and then reaps it.

    Args:
        worker: the worker.
        client: the client of the worker.
        is_leaving: asked while this waits: whether the worker was asked to end.

    Returns:
        When it was registered, as RQ writes it.

    Raises:
        WorkerNameTakenError: the holder lives.
        SystemExit: the worker was asked to end.
        ServerError: Redis did not answer, or refused.
    """
    with client.translating(f"registering worker {worker.name}"):
        while True:
            _wait_until_free(client, worker.name, is_leaving)
            if _register(worker, client):
                return utcformat(worker.birth_date)


def register_again(worker: Any, client: Client, fields: dict[Any, Any]) -> None:
    """Register a worker with RQ once more, after another one took it for dead; do nothing if another one has its name.

    Args:
        worker: the worker.
        client: the client of the worker.
        fields: further fields of its hash.
    """
    while True:
        with client.pipeline() as pipe:
            if _is_taken(worker, pipe):
                return
            pipe.multi()
            _add(worker, pipe, fields)
            with suppress(redis.WatchError):  # a claim of the main thread writes the same hash
                pipe.execute()
                return


def leave_name(worker: Any, client: Client) -> None:
    """Deregister a worker from RQ, as RQ does; do nothing if another one has its name."""
    while True:
        with client.pipeline() as pipe:
            if _is_taken(worker, pipe):
                return
            pipe.multi()
            unregister_worker(worker, pipe)
            pipe.hset(worker.key, "death", utcformat(now()))
            pipe.expire(worker.key, DEAD_S)
            pipe.delete(rq_keys.worker_executions(worker.name))
            with suppress(redis.WatchError):  # somebody has changed it: look again
                pipe.execute()
                return


def _is_taken(worker: Any, pipe: Any) -> bool:
    """Return whether another worker has the name of a worker, and watch the key that says so."""
    pipe.watch(worker.key)
    birth = pipe.hget(worker.key, "birth")
    return birth is not None and (worker.birth_date is None or birth != utcformat(worker.birth_date).encode())


def _add(worker: Any, pipe: Any, fields: dict[Any, Any]) -> None:
    own = {
        "process": msgspec.json.encode(this_process()),  # by this others see that it is dead
        "functions": msgspec.json.encode(sorted(worker.functions)),
    }
    pipe.hset(worker.key, mapping={**worker.serialize(), **own, **fields})
    register_worker(worker, pipe)
    pipe.expire(worker.key, worker.worker_ttl + 60)


def _wait_until_free(client: Client, name: str, is_leaving: Callable[[], bool]) -> None:
    began, renewals, lease_ms = time.monotonic(), 0, 0.0
    while (holder := _holder(client, name)) is not None:
        if _is_dead(holder) or (holder.lease_ms is None and time.monotonic() - began >= LEASE_S):
            Reaper(client).reap(name, holder.job, birth=holder.birth)
            return
        if holder.process is None and holder.lease_ms is None:
            _refuse(name, f"{holder.place}, probably of plain RQ")
        if holder.process is not None and holder.process.is_certainly_alive():
            _refuse(name, holder.place)
        if not lease_ms:
            log.warning("worker %s waits until the lease of the worker with that name is over, which ran in %s", name, holder.place)
        elif holder.lease_ms is not None and holder.lease_ms > lease_ms:
            renewals += 1
            if renewals >= RENEWALS:
                _refuse(name, holder.place)
        lease_ms = holder.lease_ms or lease_ms or 1.0
        if is_leaving():
            raise SystemExit
        time.sleep(POLL_S)


def _is_dead(holder: _Holder) -> bool:
    return holder.has_no_lease_left or (holder.process is not None and holder.process.is_certainly_dead())


def _refuse(name: str, place: str) -> NoReturn:
    raise shown_by_command(
        WorkerNameTakenError(f"worker {name} cannot start: a worker with that name runs in {place}: end that one, or choose another name")
    )


def _holder(client: Client, name: str) -> _Holder | None:
    """Return the worker that has a name; ``None`` if there is none, or it has ended in order."""
    with client.pipeline() as pipe:
        pipe.time()
        pipe.zscore(client.own_keys.leases, name)
        pipe.hmget(rq_keys.worker(name), "birth", "death", "process", "current_job", "hostname", "pid")
        (seconds, microseconds), lease_ms, (raw_birth, death, process, *texts) = pipe.execute()
    if raw_birth is None or death is not None:
        return None
    birth, job, host, pid = (text.decode(errors="replace") if text else "" for text in (raw_birth, *texts))
    return _Holder(_identity(process), lease_ms, seconds * 1000 + microseconds / 1000, job, birth, f"process {pid or '?'} on {host or '?'}")


def _identity(raw: bytes | None) -> ProcessIdentity | None:
    try:
        return None if raw is None else msgspec.json.decode(raw, type=ProcessIdentity)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _register(worker: Any, client: Client) -> bool:
    """Register a worker as RQ does, in one transaction. Returns false if another worker was faster."""
    with client.pipeline() as pipe:
        pipe.watch(worker.key)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        if pipe.hexists(worker.key, "birth") and not pipe.hexists(worker.key, "death"):
            return False
        pipe.multi()
        pipe.delete(worker.key)
        worker.birth_date = worker.last_heartbeat = now()
        _add(worker, pipe, {})
        try:
            pipe.execute()
        except redis.WatchError:
            return False
    return True
