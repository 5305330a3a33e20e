"""The list of workers, and the end of one of them, on any host."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec
import redis

from notify.keys import Keys
from notify.server import Client
from workers import rq_keys
from workers.errors import WorkerNotFoundError
from workers.jobs import read_jobs
from workers.rq import PUBSUB_CHANNEL_TEMPLATE, send_shutdown_command, utcparse

__all__ = ["WorkerInfo", "WorkerState", "find_worker", "find_workers", "stop_worker"]

WorkerState = Literal["idle", "busy", "ending", "suspended", "lost"]

PREFIX: Final = rq_keys.worker("")


class WorkerInfo(msgspec.Struct, frozen=True):
    """A worker, as it registered and by its last heartbeat.

    Args:
        name: its name.
        state: ``ending``: it was told to end, and finishes a job; ``lost``: it does not renew its lease, and counts as dead soon.
        job, function: the id and function of the job that it runs; ``None`` if it runs none. A worker of plain RQ 3 may run several.
        queues: the queues that it works on, the most urgent first.
        since: when it started.
        memory_kib: the memory of its processes, as it said within the last seconds; ``None`` if it did not: it is a worker of plain RQ.
        done, failed: how many runs finished, and how many failed.
        host, pid: the process.
    """

    name: str
    state: WorkerState
    job: str | None
    function: str | None
    queues: tuple[str, ...]
    since: datetime | None
    memory_kib: int | None
    done: int
    failed: int
    host: str
    pid: int


def find_workers(connection: redis.Redis) -> list[WorkerInfo]:
    """Return all workers of the server, the oldest first.

    Raises:
        ServerError: Redis did not answer, or refused.
    """
    client = Client.of(connection)
    with client.translating("listing the workers"):
        members: Any = client.smembers(rq_keys.WORKERS)
        names = sorted(member.decode(errors="replace").removeprefix(PREFIX) for member in members)
        with client.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.zrange(Keys(client.settings.namespace).leases, 0, -1, withscores=True)
            for name in names:
                pipe.hgetall(rq_keys.worker(name))
            (seconds, micros), leases, *rows = pipe.execute()
        ends_ms = {name.decode(errors="replace"): end_ms for name, end_ms in leases}
        now_ms = seconds * 1000 + micros / 1000
        known = {name: {**_runs_of(client, name, row), **row} for name, row in zip(names, rows, strict=True) if row}
        found = [_read(name, row, is_lost=ends_ms.get(name, now_ms) < now_ms) for name, row in known.items()]
        jobs = {job.id: job.function_name for job in read_jobs(client, [worker.job for worker in found if worker.job])}
        found = [msgspec.structs.replace(worker, function=jobs.get(worker.job or "")) for worker in found]
        return sorted(found, key=lambda worker: (worker.since or datetime.max.replace(tzinfo=UTC), worker.name))


def find_worker(connection: redis.Redis, name: str) -> WorkerInfo:
    """Return the worker with a name, or with a name that begins so if there is only one.

    Raises:
        WorkerNotFoundError: there is none, or there are several.
    """
    workers = find_workers(connection)
    found = [worker for worker in workers if worker.name == name] or [worker for worker in workers if worker.name.startswith(name) and name]
    if not found:
        raise WorkerNotFoundError(f"no worker is called {name!r}: `notify workers` lists them")
    if len(found) > 1:
        raise WorkerNotFoundError(f"the names of {len(found)} workers begin with {name!r}: give more of the name")
    return found[0]


def stop_worker(connection: redis.Redis, name: str) -> bool:
    """Tell a worker, on any host, to finish its job and end. This does not wait for it.

    For a `Worker` it makes no difference how often it is told; one of plain RQ kills its job when it is told a second time.

    Args:
        connection: ``bus.redis``.
        name: the name of the worker.

    Returns:
        Whether the worker listens. If not, it is starting, or its connection is being repaired: tell it again.
    """
    client = Client.of(connection)
    with client.translating(f"stopping worker {name}"):
        numbers: Any = client.pubsub_numsub(PUBSUB_CHANNEL_TEMPLATE % name)
        send_shutdown_command(client, name)
        return bool(numbers and numbers[0][1])


def _runs_of(client: Client, name: str, row: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the job of a worker of plain RQ 3, which keeps its runs in a key of their own; of several, the first by id."""
    if row.get(b"state") != b"busy" or row.get(b"current_job"):
        return {}
    try:
        runs: Any = client.smembers(rq_keys.worker_executions(name))
    except redis.ResponseError:  # another program uses the key for something else
        return {}
    return {b"current_job": min(runs).rpartition(b":")[0]} if runs else {}


def _read(name: str, row: Mapping[bytes, bytes], *, is_lost: bool) -> WorkerInfo:
    fields = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in row.items()}
    job = fields.get("current_job") or None
    state: WorkerState = "busy" if job else "suspended" if fields.get("state") == "suspended" else "idle"
    if fields.get("shutdown_requested_date"):
        state = "ending"
    since = None
    with suppress(ValueError):  # it is not there, or another program wrote it
        since = utcparse(fields.get("birth", ""))
    return WorkerInfo(
        name,
        "lost" if is_lost else state,
        job,
        None,
        tuple(filter(None, fields.get("queues", "").split(","))),
        None if since is None else since.replace(tzinfo=UTC),
        _number(fields, "memory_kib") if "memory_kib" in fields else None,
        _number(fields, "successful_job_count"),
        _number(fields, "failed_job_count"),
        fields.get("hostname", ""),
        _number(fields, "pid"),
    )


def _number(fields: Mapping[str, str], name: str) -> int:
    text = fields.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 19 else 0
