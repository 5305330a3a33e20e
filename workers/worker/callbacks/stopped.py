"""Has the ``on_stopped`` callback of a stopped job called: in the horse, never in the worker itself."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from notify.server import Client
from workers.errors import HorseError
from workers.horse import Horse, Task
from workers.jobs import owe_on_stopped
from workers.scripts import CallbackScripts, Claim, Run, number_in
from workers.worker.callbacks.wait import wait_for_callback
from workers.worker.current_run import CurrentRun
from workers.worker.finish import FinishingWorker

__all__ = ["StoppedCallback"]

log = logging.getLogger(__name__)


class StoppedCallback:
    """Has the horse call ``on_stopped`` once for each stopped run: the horse that performed the run, or a new one if that died.

    Args:
        worker: the worker, which sends heartbeats while the callback runs.
        current_run: the current run.
        horse: the process that calls the callback.
    """

    def __init__(self, worker: FinishingWorker, current_run: CurrentRun, *, horse: Horse) -> None:
        self._worker = worker
        self._current_run = current_run
        self._horse = horse
        self._scripts = CallbackScripts(worker._client)
        self._owes = False
        self._called: Claim | None = None
        """The claim of the run whose callback was called last."""

    @contextmanager
    def owing(self) -> Iterator[None]:
        """In the block, have callbacks called later, by any worker that has nothing to do: the horse is at work on other runs."""
        self._owes = True
        try:
            yield
        finally:
            self._owes = False

    def call(self, job: Any, queue: Any) -> None:
        """Have the callback of the current job called, and wait for its end. If it fails, that is logged and not raised."""
        claim = self._current_run.claim
        if claim is None or self._called is claim:  # called already: the end is recorded once more because the server was away
            return
        if self._owes:
            self._owe(job, claim)
            return
        if claim.fields.get(b"stopped_callback_name"):
            self._scripts.begin(Run(claim.job_id, claim.fence))  # if this worker dies now, nobody calls it once more
        self._called = claim
        task = Task(claim.job_id, claim.fence, queue.name, claim.fields, is_stopped=True, number=number_in(claim.fence))
        if task.calls_back:
            try:
                self._horse.give(task)
                wait_for_callback(
                    self._horse,
                    f"the on_stopped callback of job {job.id}",
                    timeout_s=job.stopped_callback_timeout,
                    pause_s=self._worker.job_monitoring_interval,
                    beat=lambda working_s: self._worker.send_run_heartbeat(job, working_s),
                )
            except HorseError as exc:
                log.error("the on_stopped callback of job %s cannot be called: %s", job.id, exc)

    def _owe(self, job: Any, claim: Claim) -> None:
        run = Run(claim.job_id, claim.fence)
        client = Client.of(self._worker.connection)
        with client.pipeline() as pipe:
            owe_on_stopped(client, job, run, pipeline=pipe)
            pipe.hset(job.key, "called_back", run.fence)  # once is enough, whoever records the end
            pipe.execute()
        self._called = claim
