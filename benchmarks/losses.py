"""The loss of a service that many queued jobs need: jobs that start after it, time until all are cancelled, longest script."""

import time
from datetime import UTC
from typing import Any, Final

import redis
import rq

import notify
from benchmarks.sample_jobs import EFFECTS, affect, take_note
from notify.testing import wait_until
from workers import Pool, Queue, WorkerOptions, rq_keys

__all__ = ["QUEUED", "loss_of_a_service"]

QUEUED: Final = 100_000
CHUNK: Final = 5_000
STARTED: Final = 20
SETTLE_S: Final = 300.0
QUEUED_AT_RQ: Final = 20_000
CANCELLED_AT_RQ: Final = 1_000
SLOW_US: Final = 1_000
"""Scripts that hold the server longer than this are recorded."""


def loss_of_a_service(bus: notify.Bus, *, queued: int = QUEUED) -> str:
    """Withdraw a service that 100,000 queued jobs need, while two workers run them."""
    queue = Queue("bench-losses", connection=bus.redis)
    options = WorkerOptions(settings=bus.settings, queues=(queue.name,), modules=("benchmarks.sample_jobs",), log_level="ERROR")
    with bus.service("bench-service") as service:
        for _ in range(max(1, queued // CHUNK)):
            queue.enqueue_many([queue.prepare_data(affect) for _ in range(min(CHUNK, queued))])
        with Pool(options, size=2):
            wait_until(lambda: bus.redis.llen(EFFECTS) > STARTED, timeout_s=30, what="the first jobs")
            _note_what_is_slow(bus.redis)
            began = time.perf_counter()
            bus.directory.kill(service.name)
            wait_until(lambda: _settled(bus.redis, queue.name) == queued, timeout_s=SETTLE_S, what="the end of all jobs")
            rate = queued / (time.perf_counter() - began)
    at_ms = int(bus.redis.hget(bus.keys.tombstone("bench-service"), "at_ms") or 0)
    late, longest_ms, rq_rate = _started_after(bus.redis, at_ms), _longest_script_ms(bus.redis), _rate_of_rq(bus)
    return (
        f"{f'loss that {queued:,} jobs feel':<34} ours {rate:>9,.0f}/s   Job.cancel() {rq_rate:>9,.0f}/s  ratio {rate / rq_rate:.1f}"
        f"   started after it {late}   longest script {longest_ms:.1f} ms"
    )


def _settled(client: redis.Redis, queue: str) -> int:
    """Number of jobs in RQ's registries of final states."""
    with client.pipeline(transaction=False) as pipe:
        for registry in (rq_keys.canceled, rq_keys.finished, rq_keys.failed):
            pipe.zcard(registry(queue))
        return sum(pipe.execute())


def _started_after(client: redis.Redis, at_ms: int) -> int:
    """Number of jobs with an effect that started after a withdrawal. Starts within the same millisecond do not count."""
    jobs = [rq.job.Job.fetch(job_id.decode(), client, serializer="json") for job_id in client.lrange(EFFECTS, 0, -1)]
    starts_ms = [job.started_at.replace(tzinfo=UTC).timestamp() * 1000 for job in jobs if job.started_at]
    assert len(starts_ms) == len(jobs)
    return sum(start_ms >= at_ms + 1 for start_ms in starts_ms)


def _note_what_is_slow(client: redis.Redis) -> None:
    client.config_set("slowlog-log-slower-than", SLOW_US)
    client.config_set("slowlog-max-len", 1_000_000)
    client.slowlog_reset()


def _longest_script_ms(client: redis.Redis) -> float:
    """The longest time for which a script has held the server since `_note_what_is_slow`."""
    noted: Any = client.slowlog_get(1_000_000)
    return max((entry["duration"] for entry in noted if entry["command"].upper().startswith(b"EVAL")), default=0) / 1000


def _rate_of_rq(bus: notify.Bus) -> float:
    """Number of queued jobs that RQ cancels in a second, one by one, which is its only way."""
    with redis.Redis.from_url(str(bus.settings.url)) as plain:
        queue = rq.Queue("bench-losses-rq", connection=plain)
        jobs = queue.enqueue_many([queue.prepare_data(take_note, (number,)) for number in range(QUEUED_AT_RQ)])
        began = time.perf_counter()
        for job in jobs[:: QUEUED_AT_RQ // CANCELLED_AT_RQ]:
            rq.job.Job.fetch(job.id, plain).cancel()
        return CANCELLED_AT_RQ / (time.perf_counter() - began)
