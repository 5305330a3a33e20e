"""RQ's maintenance of the registries, by the clock of the server instead of the clock of this host."""

from typing import Any

from workers.rq import clean_worker_registry, now
from workers.scripts import RunScripts

__all__ = ["clean_registries"]


def clean_registries(worker: Any) -> None:
    """Clean the registries of the queues of a worker as ``rq.Worker.clean_registries`` does, one worker at a time per queue.

    A job that ended leaves its registry when its time is over. The job of a run that is over its time is tried again, or fails, unless
    its worker has its lease: a worker that lost it is dealt with by the reaper.
    """
    for queue in worker.queues:
        if not queue.acquire_maintenance_lock():
            continue
        worker.log.info("Worker %s: cleaning registries for queue: %s", worker.name, queue.name)
        now_s = RunScripts(worker.connection).keep_runs(queue.name)
        queue.finished_job_registry.cleanup(now_s)
        queue.started_job_registry.cleanup(exception_handlers=worker._exc_handlers)
        clean_worker_registry(queue)
        queue.intermediate_queue.cleanup(worker, queue)
        queue.release_maintenance_lock()
    worker.last_cleaned_at = now()  # only this process reads it
