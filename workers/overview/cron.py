"""The list of the recurring jobs that workers have registered in Redis."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import redis

from notify.server import Client, whole
from workers import rq_keys
from workers.errors import JobDefinitionError
from workers.jobs import Overlap, read_cron_job

__all__ = ["CronInfo", "cron_jobs"]

LATEST_MS: Final = 253_402_300_799_000
"""The end of the year 9999, after which Python has no times."""


class CronInfo(msgspec.Struct, frozen=True):
    """A recurring job.

    Args:
        function: the dotted path of its function.
        queue: the queue it is enqueued on.
        schedule: its cron line, or its interval as text.
        next: the time at which it is due next; in the past while no worker has loaded it.
        last: the time for which it was enqueued last; ``None`` if it never was.
        workers: the number of living workers that have loaded it; with none it is not enqueued.
        overlap: what happens when it is due while the one before it still waits.
        listening: the number of workers that listen to its queue; with none it is not enqueued.
        alarm: since when it has been due without a worker that listens; ``None`` if there is no alarm.
        paused: whether it is not enqueued until somebody resumes it.
        is_due: whether ``next`` is over, by the clock of the server.
    """

    function: str
    queue: str
    schedule: str
    next: datetime
    last: datetime | None
    workers: int
    overlap: Overlap = "skip"
    listening: int = 0
    alarm: datetime | None = None
    is_due: bool = False
    paused: bool = False


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
        pipe.hgetall(keys.cron_alarms)
        pipe.smembers(keys.cron_paused)
        pipe.time()
        due, encoded, last, loaded, leases, alarms, paused, (seconds, microseconds) = pipe.execute()
    now_ms = seconds * 1000 + microseconds / 1000
    alive = {worker for worker, end_ms in leases if end_ms > now_ms}
    names = [name for worker, its_names in loaded.items() if worker in alive for name in _names(its_names)]
    found = []
    for name, due_ms in due:
        function = name.decode(errors="backslashreplace")
        try:
            cron_job = read_cron_job(encoded.get(name, b""))
            queue, schedule, overlap = cron_job.queue, str(cron_job.schedule), cron_job.overlap
        except JobDefinitionError:  # another program wrote it; the leader removes it when it is due
            queue, schedule, overlap = "", "cannot be read", "skip"
        last_at, alarm = (_time(times[name]) if name in times else None for times in (last, alarms))
        loaded_by, listening = names.count(function), _listening(client, queue)
        is_due, is_paused = due_ms <= now_ms, name in paused
        found.append(CronInfo(function, queue, schedule, _time(due_ms), last_at, loaded_by, overlap, listening, alarm, is_due, is_paused))
    return found


def _listening(client: Client, queue: str) -> int:
    """Return how many living workers listen to a queue."""
    with client.translating("counting workers"):
        workers: Any = client.smembers(rq_keys.workers(queue))
        return int(client.exists(*workers)) if workers else 0


def _names(encoded: bytes) -> list[str]:
    """Return the names of the recurring jobs that a worker has loaded; none if another program wrote them."""
    try:
        return msgspec.json.decode(encoded, type=list[str])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


def _time(ms: float | bytes) -> datetime:
    text = ms if isinstance(ms, bytes) else b"%.0f" % ms
    return datetime.fromtimestamp(whole(text, 0, most=LATEST_MS) / 1000, UTC)
