"""The list of the recurring jobs that workers have registered in Redis."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import redis

from notify.server import Client
from workers.jobs import CronJob

__all__ = ["CronInfo", "cron_jobs"]


class CronInfo(msgspec.Struct, frozen=True):
    """A recurring job.

    Args:
        function: the dotted path of its function.
        queue: the queue it is enqueued on.
        schedule: its cron line, or its interval as text.
        next: the time at which it is due next; in the past while no worker has loaded it.
        last: the time for which it was enqueued last; ``None`` if it never was.
        workers: the number of living workers that have loaded it; with none it is not enqueued.
    """

    function: str
    queue: str
    schedule: str
    next: datetime
    last: datetime | None
    workers: int


def cron_jobs(connection: redis.Redis) -> list[CronInfo]:
    """Return the recurring jobs, the one that is due next first.

    Raises:
        ServerError: Redis did not answer, or refused.
    """
    client = Client.of(connection)
    keys = client.own_keys
    with client.translating("listing recurring jobs"), client.pipeline() as pipe:
        pipe.zrange(keys.cron_due, 0, -1, withscores=True)
        pipe.hgetall(keys.cron)
        pipe.hgetall(keys.cron_last)
        pipe.hgetall(keys.cron_workers)
        pipe.zrange(keys.leases, 0, -1, withscores=True)
        pipe.time()
        due, encoded, last, loaded, leases, (seconds, _) = pipe.execute()
    alive = {worker for worker, end_ms in leases if end_ms > seconds * 1000}
    names = [name for worker, its_names in loaded.items() if worker in alive for name in _decode(its_names, list[str], [])]
    found = []
    for name, due_ms in due:
        cron_job = _decode(encoded.get(name, b""), CronJob, None)
        if cron_job is not None:
            function = name.decode()
            last_at = _time(last[name]) if name in last else None
            found.append(CronInfo(function, cron_job.queue, str(cron_job.schedule), _time(due_ms), last_at, names.count(function)))
    return found


def _decode(encoded: bytes, kind: Any, default: Any) -> Any:
    """Decode a value that a worker wrote. Return the default if it cannot be decoded, because another program wrote it."""
    try:
        return msgspec.json.decode(encoded, type=kind)
    except msgspec.DecodeError:
        return default


def _time(ms: float | bytes) -> datetime:
    return datetime.fromtimestamp(float(ms) / 1000, UTC)
