"""The turn of a run: makes it the current one, has it performed, and waits for its end."""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from workers.errors import HorseError
from workers.fleet import NameHold
from workers.horse import HorseEnd, Reply
from workers.jobs import JobFunctions, lazy_job
from workers.line import Line, Place
from workers.scripts import Claim, ClaimScripts, Run, RunScripts
from workers.worker.ahead import Ahead
from workers.worker.background import Background
from workers.worker.current_run import CurrentRun
from workers.worker.end_waiter import EndWaiter
from workers.worker.finish import FinishingWorker
from workers.worker.logs import log_start
from workers.worker.record import EndRecorder
from workers.worker.stop import Stopper
from workers.worker.stop_answer import StopAnswer

__all__ = ["Turn"]


class Turn:
    """Takes one run after the other through its states, in the main thread of the worker.

    Args:
        worker: the worker.
        current_run: its current run.
        line: its line.
        ahead: the runs that the horse has got already.
        claims: for the scripts about runs.
        stopper: stops a run whose stop was requested before it became the current one.
        recorder: records ends.
        background: has the loss watcher that watches the current run.
        functions: the functions that the worker may run.
        stop_answer: is told when the horse has a run.
        retry: calls a function until the server answers.
        hold: the hold of the worker on its name.
    """

    def __init__(
        self,
        worker: FinishingWorker,
        current_run: CurrentRun,
        line: Line,
        ahead: Ahead,
        *,
        claims: ClaimScripts,
        stopper: Stopper,
        recorder: EndRecorder,
        background: Background,
        functions: JobFunctions,
        stop_answer: StopAnswer,
        retry: Callable[[Callable[[], object]], object],
        hold: NameHold,
    ) -> None:
        self._worker, self._current_run, self._line, self._ahead = worker, current_run, line, ahead
        self._claims, self._stopper, self._recorder = claims, stopper, recorder
        self._background, self._functions = background, functions
        self._stop_answer = stop_answer
        self._retry = retry
        self._end_waiter = EndWaiter(worker, line, claims, hold=hold, goes_on=self._goes_on, took_answer=ahead.take_answer)

    def begin(self, claim: Claim) -> tuple[Any, Any]:
        """Make the run that was claimed alone the current one and give it to the horse. Returns the job and its queue.

        Raises:
            HorseError: the fork server is gone. The run has not begun, and is given back when the worker ends.
        """
        run = self._current_run.take(claim)
        self._stop_answer.job_begins()
        if run.job_id in self._current_run.early_stops:
            self._stopper.check_run(run)
        self._watch(run)
        queue = self._worker._ordered_queues[claim.queue]
        self._ahead.place = None
        if not claim.problem:
            self._give(claim, queue)  # first: the job runs while the worker does the rest
        return self.started(claim, queue)

    def bring(self, place: Place) -> tuple[Any, Any]:
        """Make a run that was given to the horse before the current one. Returns the job and its queue."""
        current = self._current_run
        run = current.take(place.claim)
        self._ahead.place = place
        with current.lock:
            current.over.clear()
            current.started(0 if place.is_over else self._line.horse.pid)
        self._stop_answer.job_begins()
        if place.is_dropped or run.job_id in current.early_stops:
            self._retry(lambda: self._stopper.check_run(run))
        self._watch(run)
        return self.started(place.claim, place.queue, begins=not place.is_dropped)

    def started(self, claim: Claim, queue: Any, *, begins: bool = True) -> tuple[Any, Any]:
        """Log the start of a run, unless it never begins. Returns its job and its queue."""
        worker = self._worker
        job = lazy_job(worker.job_class, claim.job_id, claim.fields, connection=worker.connection, functions=self._functions)
        worker.reorder_queues(reference_queue=queue)
        if not begins:
            return job, queue
        log_start(job, run=Run(claim.job_id, claim.fence), worker=worker.name)
        if worker.log.isEnabledFor(logging.INFO):
            description = claim.fields.get(b"description", b"").decode(errors="replace") if worker.log_job_description else ""
            worker.log.info("Worker %s: %s: %s (%s)", worker.name, queue.name, description, job.id)
        return job, queue

    def _watch(self, run: Run) -> None:
        if self._background.loss_watcher is not None:
            self._background.loss_watcher.watch(run)

    def _give(self, claim: Claim, queue: Any) -> bool:
        """Give a run to the horse. Returns false if the run was stopped before; then the horse does not get it."""
        current = self._current_run
        with current.lock:  # no stop can come between the check and the start
            if current.stopped_job_id == claim.job_id or current.is_cut:
                return False
            current.prepare_start()
            self._ahead.place = place = self._ahead.place_of(claim, queue)
            try:
                self._line.give([place])
                current.started(self._line.horse.pid)
            except HorseError:
                self._ahead.place = None
                self._ahead.put_aside([place])
                self._line.remove(place)
                current.release()
                if self._background.loss_watcher is not None:
                    self._background.loss_watcher.release()
                raise
        return True

    def wait(self, job: Any, queue: Any) -> tuple[Place, HorseEnd | None]:
        """Wait for the end of the current run. Returns its place, and how it ended; ``None`` if it was stopped before the horse got it."""
        current, place = self._current_run, self._ahead.place
        claim = current.claim
        assert claim is not None  # noqa: S101  # the caller checked it
        try:
            if place is None:
                place = self._ahead.place_of(claim, queue)
                return place, Reply(problem=claim.problem) if claim.problem else None
            self._ahead.refill_behind()
            self._check_early_stop()
            return place, self._end_waiter.wait(job, place)
        finally:
            self._ahead.place = None
            current.ended()
            with current.lock, suppress(HorseError):  # the worker ends, and gives back what no process begins
                current.take_signs_down()
                self._line.settle()

    def _goes_on(self, job: Any) -> bool:
        is_done = self._ahead.goes_on(ttl_s=self._worker.get_heartbeat_ttl(job))
        self._check_early_stop()
        return is_done

    def _check_early_stop(self) -> None:
        """Stop the current run if that was requested while another one stood in for it."""
        run = self._current_run.run
        if run is not None and run.job_id in self._current_run.early_stops:
            self._stopper.check_run(run)

    def record(self, job: Any, place: Place, end: HorseEnd | None) -> None:
        """Record an end in another way than by a claim. RQ's code does, to which the run has to be known."""
        is_open = not isinstance(end, Reply) or end.stopped or end.problem
        if is_open and not place.is_announced and not place.is_dropped:
            RunScripts(self._claims.client).announce_run(self._worker.name, place.run, ttl_s=self._worker.get_heartbeat_ttl(job))
            place.is_announced = True
        self._recorder.record(job, place.queue, end)
