"""Jobs against RQ's own worker, and the time to stop a running job when the service it needs is withdrawn."""

import statistics
import subprocess
import sys
import time
from functools import partial
from typing import Final

import rq

import notify
from benchmarks.compare import Comparison, compare
from benchmarks.sample_jobs import nothing, sleep
from notify.testing import wait_until
from workers import Pool, Queue, WorkerOptions

__all__ = ["no_op_jobs", "stop_latency"]

COUNT: Final = 200
STOPS: Final = 30


def no_op_jobs(bus: notify.Bus) -> Comparison:
    """Jobs that do nothing, one worker process, from the first start to the last end."""

    def rate(queue: rq.Queue, command: list[str]) -> float:
        jobs = [queue.enqueue(nothing) for _ in range(COUNT)]
        subprocess.run(command, check=True, capture_output=True)
        fetched = [job for job in rq.job.Job.fetch_many([job.id for job in jobs], bus.redis, serializer="json") if job]
        started = min(job.started_at for job in fetched if job.started_at)
        ended = max(job.ended_at for job in fetched if job.ended_at)
        assert all(job.is_finished for job in fetched)
        return COUNT / (ended - started).total_seconds()

    def ours() -> float:
        notify_worker = [sys.executable, "-m", "cli", "--url", str(bus.settings.url), "worker", "bench", "-n", "1", "--burst"]
        return rate(Queue("bench", connection=bus.redis), [*notify_worker, "--import", "benchmarks.sample_jobs"])

    def peer() -> float:
        rq_worker = [sys.executable, "-m", "rq.cli", "worker", "bench-rq", "--burst", "--quiet", "--serializer", "json"]
        return rate(rq.Queue("bench-rq", connection=bus.redis, serializer="json"), [*rq_worker, "--url", str(bus.settings.url)])

    return compare("no-op jobs, one worker process", ours, peer, peer_name="rq.Worker", rounds=3)


def stop_latency(bus: notify.Bus) -> str:
    """Milliseconds from the withdrawal of a service to the event that reports the end of the running job."""
    options = WorkerOptions(settings=bus.settings, queues=("bench",), modules=("benchmarks.sample_jobs",), log_level="ERROR")
    queue, samples_ms = Queue("bench", connection=bus.redis), []
    with Pool(options, size=1), bus.subscribe("job.bench") as ends:
        for _ in range(STOPS):
            with bus.service("bench-service") as service:
                job = queue.enqueue(sleep, 60)
                wait_until(partial(_is_started, job))
                time.sleep(0.05)  # past the fork
                killed_ms = int(bus.directory.kill(service.name).partition("-")[0])
                samples_ms.append(_stopped_ms(ends) - killed_ms)
    samples_ms.sort()
    return f"{'stop of a running job':<34} p50 {statistics.median(samples_ms):.0f} ms   max {samples_ms[-1]} ms   (n={STOPS})"


def _stopped_ms(events: notify.Subscriber) -> int:
    """When the next job was told to be stopped."""
    while True:
        event = events.get(10.0)
        assert isinstance(event, notify.Event)
        if isinstance(event.contents, dict) and event.contents["status"] == "stopped":
            return int(str(event.id).partition("-")[0])


def _is_started(job: rq.job.Job) -> bool:
    return job.is_started
