"""The runs of a worker that are performed side by side: gives them to the horse, waits for their ends, and records these."""

import math
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from notify.errors import NotifyError
from workers.errors import HorseError
from workers.horse import UNKNOWN, HorseEnd, Reply
from workers.jobs import JobFunctions
from workers.line import Line, Place
from workers.scripts import Claim, ClaimScripts, Run, RunScripts
from workers.worker.background import Background
from workers.worker.callbacks import OwedCallbacks
from workers.worker.claimer import Claimer
from workers.worker.current_run import CurrentRun
from workers.worker.record import EndRecorder
from workers.worker.returned import ReturnedRuns
from workers.worker.side_by_side.forecast import Forecast
from workers.worker.side_by_side.intake import Intake
from workers.worker.side_by_side.member import Member
from workers.worker.side_by_side.rules import concurrencies, may_bypass_rq, path_of
from workers.worker.side_by_side.supply import Supply
from workers.worker.side_by_side.unbegun import Unbegun
from workers.worker.stop import Stopper
from workers.worker.turn import Turn

__all__ = ["Group"]

ANNOUNCE_S: Final = 0.1
"""Seconds after which a run is announced: of most that are shorter nobody needs to hear before their end."""
UNBEGUN_S: Final = 0.05
"""Seconds after which a run goes back to its queue that has not begun: a job blocks the event loop, or the process is to be replaced."""
REST_S: Final = 0.5
"""Seconds without claims after that."""
LONGEST_S: Final = 1.0
OVERDUE_S: Final = 60.0
"""Seconds after the timeout of a job at which its process is killed: a job that still runs then ignores the timeout."""


class Group:
    """Has runs performed side by side, in the main thread of the worker, from a first one until none is left.

    If the process is killed, all of them end: the one that ignored its stop or its timeout as it would alone, the others as if their
    worker had been told to end at once. These are tried again if they may be, and fail otherwise.

    Args:
        worker, current_run, line: of the worker. No run of the group is the current one, but while its end is recorded.
        turn, recorder, stopper, callbacks: do for one run what is the same for all kinds of jobs.
        claims, claimer, returned: claim and record.
        background: has the loss watcher, which watches all runs.
        functions: the functions that the worker may run.
        retry: calls a function until the server answers.
        is_enabled: whether jobs may run side by side at all.
        claims_ahead: whether jobs may be claimed before there is room for them.
    """

    def __init__(
        self,
        worker: Any,
        current_run: CurrentRun,
        line: Line,
        *,
        turn: Turn,
        recorder: EndRecorder,
        stopper: Stopper,
        callbacks: OwedCallbacks,
        claims: ClaimScripts,
        claimer: Claimer,
        returned: ReturnedRuns,
        background: Background,
        functions: JobFunctions,
        retry: Callable[[Callable[[], object]], object],
        is_enabled: bool,
        claims_ahead: bool,
    ) -> None:
        self._worker, self._current_run, self._line = worker, current_run, line
        self._turn, self._recorder, self._stopper = turn, recorder, stopper
        self._callbacks = callbacks
        self._claims, self._returned = claims, returned
        self._most = concurrencies(functions) if is_enabled else {}
        self.paths = dict.fromkeys(self._most, 0)
        """The functions whose jobs run side by side: no others may be claimed together with jobs that run in turn."""
        intake = Intake(claims.client, worker.name, horse=line.horse)
        self._supply = Supply(worker, claims=claims, claimer=claimer, returned=returned, intake=intake, most=self._most)
        self._forecast, self._forecast_in_s = Forecast(is_enabled=claims_ahead), math.inf
        self._background, self._functions = background, functions
        self._retry, self._unbegun = retry, Unbegun(line)
        self._runs = RunScripts(claims.client)
        self._members: dict[int, Member] = {}
        self._culprit: Member | None = None
        """The run because of which the process was killed."""

    def __len__(self) -> int:
        return len(self._members)

    def runs(self) -> list[Run]:
        """Return the runs of the group, the oldest first."""
        return [member.place.run for member in self._members.values()]

    def takes(self, claim: Claim) -> bool:
        """Return whether a job that was claimed alone is to run side by side with others."""
        return bool(self.paths) and may_bypass_rq(self._worker) and path_of(claim, self._functions) in self.paths

    def begin(self, claim: Claim) -> tuple[Any, Any]:
        """Give the first run to the horse. Returns its job and its queue."""
        self._supply.begin()
        self._give([claim], is_announced=True)
        member = next(iter(self._members.values()))
        return member.job, member.place.queue

    def run(self) -> None:
        """Go on until no run is left. The ends of the last ones are recorded with the next claim. Errors as for `Supply.claim`."""
        try:
            self._current_run.ended()
            while self._members:
                self._step()
        finally:
            self._supply.close()
            self._current_run.ended()
            self._watch()

    def _step(self) -> None:
        worker = self._worker
        with self._current_run.lock:
            self._current_run.started(self._line.horse.pid)
        self._unbegun.look()
        running = Counter(member.path for member in self._members.values())
        ending, self._forecast_in_s = self._forecast.ends(self._members.values())
        options: Any = {"ending": ending, "unbegun": self._unbegun.places()}
        claims = self._supply.claim(self.runs(), running, may_claim=self._may_claim(), **options)
        if claims:
            self._give(claims, is_announced=self._supply.has_announced)
        self._give_back_unbegun()
        with suppress(HorseError):  # the fork server is gone, which `is_lost` says from now on
            self._line.wait(self._pause_s())
        self._collect()
        for member in list(self._members.values()):
            self._tend(member)
        if worker.should_run_maintenance_tasks and not self._returned:
            worker.run_maintenance_tasks()

    def _may_claim(self) -> bool:
        worker, current = self._worker, self._current_run
        is_ending = worker._stop_requested or current.is_cut or current.leave_sign.is_up or self._line.horse.is_lost
        return not (is_ending or self._callbacks.are_due or self._culprit)

    def _pause_s(self) -> float:
        """Return how long to wait for the end of a run."""
        pauses = [LONGEST_S]
        if self._unbegun:
            pauses.append(max(0.0, UNBEGUN_S - self._unbegun.waited_s))
        if self._may_claim():
            pauses += [self._supply.due_in_s, self._forecast_in_s if self._supply.goes_ahead else math.inf]
        for member in self._members.values():
            if member.place.is_over:
                return 0.0
            if member.place.stopping is not None:
                pauses.append(member.place.stopping.due_in_s)
            if member.has_begun and not member.place.is_announced:
                pauses.append(max(0.0, ANNOUNCE_S - member.age_s))
        return min(pauses)

    def _give(self, claims: list[Claim], *, is_announced: bool) -> None:
        current, places = self._current_run, []
        for claim in claims:
            queue = self._worker._ordered_queues[claim.queue]
            path = path_of(claim, self._functions)
            options: Any = {"runs_beside": True, "function": path, "concurrency": self._most.get(path, 0)}
            places.append(Place(claim, queue, is_announced=is_announced, **options))
        with current.lock:  # no stop can come between the look at the early stops and the start
            for place in places:
                place.is_dropped = place.run.job_id in current.early_stops
                place.end = Reply(problem=place.claim.problem) if place.claim.problem else None
            given = [place for place in places if not place.is_over]
            try:
                self._line.give(given)
            except HorseError:  # the fork server is gone: the worker ends
                for place in given:
                    self._line.remove(place)
                    place.end = UNKNOWN
        for place in places:  # last: the jobs run while the worker does this
            job, _ = self._turn.started(place.claim, place.queue)
            self._members[place.number] = member = Member(place, job)
            self._unbegun.add(member)
        self._watch()

    def _watch(self) -> None:
        if self._background.loss_watcher is not None:
            self._background.loss_watcher.watch(*self.runs())

    def _give_back_unbegun(self) -> None:
        """Put runs back on their queues that the horse does not begin."""
        is_ending = self._worker._stop_requested or self._current_run.leave_sign.is_up or self._line.horse.is_lost
        if not self._unbegun or (not is_ending and self._unbegun.waited_s < UNBEGUN_S):
            return
        self._give_back([self._members[place.number] for place in self._line.take_unbegun()])
        self._supply.pause(REST_S)
        self._forecast.failed()

    def _give_back(self, members: list[Member]) -> None:
        if not members:
            return
        runs = [member.place.run for member in members]
        others = [*self._returned.runs(), *(run for run in self.runs() if run not in runs)]
        refused: set[str] = set()
        self._retry(lambda: refused.update(self._claims.give_back(runs, line=others)))
        for member in members:
            if member.place.run.job_id in refused:
                member.place.is_dropped = True  # stopped meanwhile: that is to be recorded
            else:
                del self._members[member.place.number]
        self._unbegun.remove(members)
        self._watch()

    def _collect(self) -> None:
        """Record the ends that have come. What returned is recorded with the next claims, and first kept: its reply came before others."""
        over = [member for member in self._members.values() if member.place.is_over]
        if not over:
            return
        for member in over:
            end = member.place.end
            if isinstance(end, Reply) and end.ended is not None:
                self._forecast.note(member.path, end.seconds)
                self._remove(member)
                self._returned.add(member.place, member.job, end.ended)
        for member in over:
            if member.place.number not in self._members:
                continue
            end = None if member.place.is_dropped else member.place.end
            if isinstance(end, Reply) and end.is_late:
                self._give_back([member])
                end = None
            if end is not None or member.place.is_dropped:
                self._record(member, end)
            self._remove(member)
            self._returned.add(member.place, member.job)
        if not self._line.horse.is_lost:
            with self._current_run.lock, suppress(HorseError):  # it has gone just now
                self._line.settle()
        self._culprit = self._culprit if self._culprit in self._members.values() else None
        self._watch()

    def _remove(self, member: Member) -> None:
        self._members.pop(member.place.number, None)
        self._current_run.early_stops.discard(member.place.run.job_id)
        self._supply.note_end()

    def _record(self, member: Member, end: HorseEnd | None) -> None:
        """Record another end than a return. While that is done, the run is the current one."""
        if isinstance(end, Reply) and not (end.stopped or end.problem):
            return  # the horse has recorded it
        place, current = member.place, self._current_run
        with current.standing_in(place.claim), self._recorder.stopped_callback.owing():
            current.began_s = member.began
            self._mark(place, end)
            if isinstance(end, Reply) and end.stopped and not end.lost and not current.stopped_job_id:
                self._retry(lambda: self._recorder.refused(member.job, place.queue))  # the stop is still on its way to this worker
            elif isinstance(end, Reply | None) or self._culprit in (None, member) or current.is_cut or current.stopped_job_id:
                self._retry(lambda: self._turn.record(member.job, place, end))
            else:
                reason = (
                    f"its process was killed because of job {self._culprit.place.run.job_id} beside it, which ignored its stop or timeout"
                )
                self._retry(lambda: self._recorder.hit(member.job, place.queue, reason))
        self._callbacks.note_end(place.claim, end, has_stopped=True)

    def _mark(self, place: Place, end: HorseEnd | None) -> None:
        """Record why the run was stopped, if it was."""
        if place.stopping is not None and place.stopping.reason:
            self._current_run.mark_stopped(place.stopping.reason)
        elif end is None:

            def check() -> None:
                self._stopper.check_run(place.run)  # marks the current run

            self._retry(check)

    def _tend(self, member: Member) -> None:
        """Do what is due for a run that goes on: the next step of its stop, its announcement, its heartbeat."""
        place, now = member.place, time.monotonic()
        if place.is_over:
            return
        if self._line.take_step(place):
            self._culprit = member
        if member.has_begun and not place.is_announced and member.age_s >= ANNOUNCE_S:
            with suppress(NotifyError):  # the next look tries it again
                place.is_announced = None  # until the answer has come
                self._runs.announce_run(self._worker.name, place.run, ttl_s=self._worker.get_heartbeat_ttl(member.job))
                place.is_announced = True
        if now - member.beaten >= self._worker.job_monitoring_interval:
            member.beaten = now
            self._worker.send_run_heartbeat(member.job, member.age_s)
            timeout_s = member.job.timeout or math.inf
            if 0 < timeout_s < member.age_s - OVERDUE_S:
                self._culprit = member
                self._line.kill()
