"""What runs again and again: the jobs of a rhythm that workers have announced."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import redis

from notify.keys import Keys
from notify.server import Client
from workers.jobs import CronJob

__all__ = ["CronInfo", "cron_jobs"]


class CronInfo(msgspec.Struct, frozen=True):
    """A job that runs again and again.

    Args:
        function: its dotted path.
        queue: where it is enqueued.
        schedule: its cron line, or how often it runs.
        next: when it is due next; in the past if it waits for a worker that loads it.
        last: the time for which it was enqueued last, ``None`` if it never was.
        workers: how many living workers have loaded it; with none it is not enqueued.
    """

    function: str
    queue: str
    schedule: str
    next: datetime
    last: datetime | None
    workers: int


def cron_jobs(connection: redis.Redis) -> list[CronInfo]:
    """Describe the jobs that run again and again, those that are due next first.

    Raises:
        ServerError: the server did not answer, or refused.
    """
    client = Client.of(connection)
    keys = Keys(client.settings.namespace)
    with client.translating("listing what runs again and again"), client.pipeline() as pipe:
        pipe.zrange(keys.cron_due, 0, -1, withscores=True)
        pipe.hgetall(keys.cron)
        pipe.hgetall(keys.cron_last)
        pipe.hgetall(keys.cron_workers)
        pipe.zrange(keys.leases, 0, -1, withscores=True)
        pipe.time()
        due, written, last, loaded, leases, (seconds, _) = pipe.execute()
    alive = {worker for worker, end_ms in leases if end_ms > seconds * 1000}
    names = [name for worker, its in loaded.items() if worker in alive for name in _read(its, list[str], [])]
    found = []
    for name, due_ms in due:
        spec = _read(written.get(name, b""), CronJob, None)
        if spec is not None:
            function = name.decode()
            last_at = _time(last[name]) if name in last else None
            found.append(CronInfo(function, spec.queue, str(spec.schedule), _time(due_ms), last_at, names.count(function)))
    return found


def _read(written: bytes, kind: Any, default: Any) -> Any:
    """What a worker wrote; the default if it was somebody else."""
    try:
        return msgspec.json.decode(written, type=kind)
    except msgspec.DecodeError:
        return default


def _time(ms: float | bytes) -> datetime:
    return datetime.fromtimestamp(float(ms) / 1000, UTC)
