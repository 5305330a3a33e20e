"""RQ's maintenance of the registries, by the clock of the server instead of the clock of this host."""

from typing import Any

from notify.server import Client
from workers.fleet import Reaper
from workers.rq import clean_worker_registry, enqueue_ready, now
from workers.scripts import Run, RunScripts

__all__ = ["clean_registries"]


def clean_registries(worker: Any) -> None:
    """Clean the registries of the queues of a worker as ``rq.Worker.clean_registries`` does, one worker at a time per queue.

    A job that ended leaves its registry when its time is over. The job of a run that is over its time is tried again, or fails, unless
    its worker has its lease: by the reaper, and not by RQ's code, which publishes no event and calls ``on_failure`` in the worker itself.
    """
    for queue in worker.queues:
        if not queue.acquire_maintenance_lock():
            continue
        worker.log.info("Worker %s: cleaning registries for queue: %s", worker.name, queue.name)
        now_s = RunScripts(worker.connection).keep_runs(queue.name)
        queue.finished_job_registry.cleanup(now_s)
        _end_abandoned(queue, now_s)
        enqueue_ready(queue)
        clean_worker_registry(queue)
        queue.intermediate_queue.cleanup(worker, queue)
        queue.release_maintenance_lock()
    worker.last_cleaned_at = now()  # only this process reads it


def _end_abandoned(queue: Any, now_s: float) -> None:
    reaper = Reaper(Client.of(queue.connection))
    for entry in queue.connection.zrangebyscore(queue.started_job_registry.key, "-inf", now_s):
        job_id, _, fence = entry.decode(errors="replace").rpartition(":")
        reaper.end_abandoned(Run(job_id, fence), queue.name)
