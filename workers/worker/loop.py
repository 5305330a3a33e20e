"""The main loop of a worker: calls of scripts record the ends of the last runs and claim the next jobs."""

import logging
import time
from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeVar

import redis

from notify.errors import ServerRefusedError, ServerUnreachableError
from notify.server import Backoff, SingleConnection
from workers.errors import HorseError, JobDefinitionError
from workers.fleet import NameHold
from workers.horse import Reply
from workers.jobs import JobFunctions
from workers.line import Line, Window
from workers.rq import StopRequested
from workers.scripts import Claim, ClaimScripts, Run
from workers.worker.ahead import Ahead
from workers.worker.background import Background
from workers.worker.callbacks import OwedCallbacks
from workers.worker.claimer import LEAVE_S, Claimer
from workers.worker.current_run import CurrentRun
from workers.worker.finish import FinishingWorker
from workers.worker.idle import IdleWait
from workers.worker.next_claim import NextClaim
from workers.worker.record import EndRecorder
from workers.worker.returned import ReturnedRuns
from workers.worker.side_by_side import Group
from workers.worker.stop import Stopper
from workers.worker.stop_answer import StopAnswer
from workers.worker.turn import Turn

__all__ = ["ClaimLoop"]

T = TypeVar("T")

_key = attrgetter("key")

log = logging.getLogger(__name__)


class ClaimLoop:
    """Claims jobs, gives them to the horse, waits for their ends, and records these together with the next claim.

    RQ's own loop calls `next_job` and `execute` in turn, for one job each time, also if the horse has several.
    Only `leave` and `wake` may be called from other threads.

    Args:
        worker: the worker, whose RQ methods do heartbeats, maintenance and the order of the queues.
        current_run, hold: the current run; the hold of the worker on its name.
        claims: claims jobs for this worker, over ``connection``.
        connection: over which an idle worker waits, too.
        line: the runs of this worker, and the process that performs them.
        window: how many of them to have.
        stopper: stops a run whose stop was requested before the answer to its claim arrived.
        recorder: records the ends that a claim cannot record.
        background: has the loss watcher that watches the current run.
        callbacks: the callbacks of runs that were killed.
        functions: the functions that the worker may run.
        wait_while_suspended: RQ's function that waits until ``rq resume``. Its argument is true in burst mode: then it raises
            `StopRequested` instead of waiting.
        abandon: ends the run of a job as if this worker had died; see `Claimer`.
        lease_s: seconds that the worker may be silent.
        make_group: makes the `Group`, without what is made here.
        told: called once after `leave`, with whether a job still runs. It may be called in a signal handler.
    """

    def __init__(
        self,
        worker: FinishingWorker,
        current_run: CurrentRun,
        *,
        claims: ClaimScripts,
        connection: SingleConnection,
        line: Line,
        window: Window,
        stopper: Stopper,
        recorder: EndRecorder,
        background: Background,
        callbacks: OwedCallbacks,
        functions: JobFunctions,
        wait_while_suspended: Callable[[bool], None],
        hold: NameHold,
        abandon: Callable[[str], None],
        lease_s: float,
        make_group: Callable[..., Group],
        told: Callable[[bool], object] | None = None,
    ) -> None:
        self._worker = worker
        self._current_run = current_run
        self._line, self._hold = line, hold
        self._background, self._callbacks = background, callbacks
        background.changed = lambda: self._idle.services_changed()
        self._wait_while_suspended = wait_while_suspended
        self._stop_answer = StopAnswer(told)
        self._leaving = current_run.leave_sign  # no `threading.Event`: a signal handler that interrupts its methods would wait for itself
        self._claimer = Claimer(worker.name, claims, connection, fences=line.fences, leaving=self._leaving, hold=hold, abandon=abandon)
        self._returned = ReturnedRuns(worker, current_run, line, recorder=recorder, retry=self.retry_while_away)
        self.ahead = Ahead(
            worker,
            current_run,
            line,
            window,
            claims=claims,
            claimer=self._claimer,
            returned=self._returned,
            is_paused=lambda: callbacks.are_due,
            lease_s=lease_s,
        )
        self._claimer.held = self.held
        self._turn = Turn(
            worker,
            current_run,
            line,
            self.ahead,
            claims=claims,
            stopper=stopper,
            recorder=recorder,
            background=background,
            functions=functions,
            stop_answer=self._stop_answer,
            retry=self.retry_while_away,
            hold=hold,
        )
        self._group = make_group(turn=self._turn, claimer=self._claimer, returned=self._returned, retry=self.retry_while_away)
        self.ahead.others = self._group.paths
        self._idle = IdleWait(worker, connection, shared=worker._client)
        self._next_claim = NextClaim(self.ahead, self._claimer, self._returned, examine=lambda job_id: claims.examine_call(job_id))
        self._refusals = Backoff(log, f"worker {worker.name}")

    def open(self) -> None:
        """Prepare to wait for jobs."""
        self._leaving.take_down()  # the worker may have worked before
        self._stop_answer.reset()
        self._line.reopen()
        self._idle.open()
        if self._worker._stop_requested:  # it was told to end before this, or meanwhile, by another thread
            self.leave()

    def held(self) -> list[Run]:
        """Return all runs that are this worker's as far as it knows, the oldest first."""
        return [*self.ahead.held(), *self._group.runs()]

    def is_heard(self) -> bool:
        """Return whether the server answers the main thread of the worker. Safe from any thread."""
        return self._claimer.is_heard()

    def wake(self) -> None:
        """End the wait for a job: there is something else to do. Safe from any thread."""
        self._idle.wake()

    def leave(self) -> None:
        """End the wait for a job, and soon give up calls to a server that is away. Safe from any thread and in a signal handler."""
        self._leaving.put_up()
        self._stop_answer.asked()
        self._line.leave()
        self._idle.wake()

    def close(self) -> None:
        """Close the connection of the claims."""
        self._idle.close()

    def next_job(self, timeout: int | None, max_idle_time: int | None) -> tuple[Any, Any] | None:
        """Claim the next job and give it to the horse; wait for one if there is none.

        Args:
            timeout: ``None`` in burst mode: then this waits only while an overdue service is neither back nor withdrawn.
            max_idle_time: seconds to wait for a job at most; ``None``: no limit.

        Returns:
            The job and its queue; ``None`` if there is no job.

        Raises:
            StopRequested: the worker was asked to end.
            HorseError: the worker must end, because its fork server is gone.
        """
        worker = self._worker
        idle_since = time.monotonic()
        while not worker._stop_requested:
            if self._line.horse.is_lost:
                raise HorseError(f"worker {worker.name} ends because its fork server was killed: start another worker")
            try:
                place = self.ahead.next()
                if place is not None:  # the horse has got it
                    return self._turn.bring(place)
                self._callbacks.call_all()
                claim = self._next_claim.claim(list(map(_key, worker._ordered_queues)))
            except ServerUnreachableError as exc:  # raised only if the worker was asked to end
                log.warning("worker %s ends while the server is unreachable: %s", worker.name, exc)
                self._returned.drop()  # else `record_returned` would try it for LEAVE_S once more
                break
            except ServerRefusedError as exc:  # a key of the worker or of the queues was spoilt: the next worker would fare no better
                self._idle.pause(self._refusals.failed(exc, level=logging.ERROR))
                continue
            self._refusals.over()
            if claim is None:
                continue
            if claim.answer == "started":
                runs_beside = not self.ahead.is_limited and self._group.takes(claim)
                return self._group.begin(claim) if runs_beside else self._turn.begin(claim)
            if claim.answer == "suspended":
                self.retry_while_away(lambda: self._wait_while_suspended(timeout is None))
            elif not claim.answer and not self._waits(claim, timeout, idle_since, max_idle_time):
                return None
        if not self.ahead:
            self._stop_answer.idle()
        raise StopRequested

    def _waits(self, claim: Claim, timeout: int | None, idle_since: float, max_idle_time: int | None) -> bool:
        """Wait for a job, see `IdleWait.wait_for_job`."""
        return self._idle.wait_for_job(claim, timeout, idle_since, max_idle_time, overdue=self._next_claim.overdue)

    def execute(self, job: Any, queue: Any) -> None:
        """Wait for the end of the job that was claimed last, and record the end; if the function returned, the next claim records it.

        Raises:
            JobDefinitionError: the job is not the one that was claimed last.
        """
        if self._group:
            self._group.run()
            self._stop_answer.job_ended()
            return
        claim = self._current_run.claim
        if claim is None or claim.job_id != job.id:
            raise JobDefinitionError(f"job {job.id} was not claimed by this worker: call dequeue_job_and_maintain_ttl() first")
        place, end = self._turn.wait(job, queue)
        if not self.ahead:
            self._stop_answer.job_ended()
        if self._background.loss_watcher is not None:
            self._background.loss_watcher.release()
        self.ahead.note(end.seconds if isinstance(end, Reply) else self._current_run.seconds())
        if isinstance(end, Reply) and end.ended is not None:
            self._returned.add(place, job, end.ended)
            return
        if isinstance(end, Reply) and end.is_late:
            self._current_run.release()
            self.ahead.give_late_back(place)
            return
        self.ahead.settle()  # or that call would write down this run as one that goes on
        self.retry_while_away(lambda: self._turn.record(job, place, end))
        self._returned.add(place, job)
        self._current_run.release()
        self._callbacks.note_end(claim, end)
        if not self.ahead:
            self._callbacks.call_all()

    def record_returned(self) -> None:
        """Record the ends of the last runs now, if they are still to be recorded, and claim no job."""
        if self._returned:
            self.ahead.refill(0)

    def drain(self) -> None:
        """Give back what the horse has not begun, wait for the end of what it has, and record that. Errors as for `retry_while_away`."""
        if self._hold.is_lost:
            return
        self.ahead.give_all_back()
        while (place := self.ahead.take()) is not None:
            if self._current_run.is_cut:
                self._line.horse.kill()
            self.execute(*self._turn.bring(place))
        self.record_returned()

    def unfinished(self) -> list[Run]:
        """Return the runs that end with the worker: after a second signal the current one, whose process has just been killed."""
        run = self._current_run.run
        return self.held() if self._hold.is_lost else self._group.runs() if run is None else [run]

    def retry_while_away(self, act: Callable[[], T]) -> T:
        """Call a function until the server answers, and return its result. Once the worker was asked to end, give up after `LEAVE_S`.

        Raises:
            NotifyError, redis.RedisError: the worker was asked to end and the server is still away, or the server refused for good.
        """
        return self._claimer.ask(lambda _: act(), leave_s=LEAVE_S)

    def maintain(self, act: Callable[[], object]) -> None:
        """Do RQ's maintenance, and try again while the server is away. What is spoilt in Redis must not end the worker."""
        try:
            self.retry_while_away(act)
        except (StopRequested, ServerUnreachableError, redis.ConnectionError, redis.TimeoutError):
            raise
        except Exception:
            log.exception("worker %s could not do all of its maintenance", self._worker.name)
