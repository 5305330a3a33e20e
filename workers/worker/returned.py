"""The runs whose function returned, until the next call to the server records their ends together."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from workers.line import Line, Place
from workers.scripts import Ended, Run
from workers.worker.current_run import CurrentRun
from workers.worker.finish import FinishingWorker
from workers.worker.logs import log_end
from workers.worker.record import EndRecorder

__all__ = ["ReturnedRuns"]


class Returned(msgspec.Struct):
    """A run that has ended. Without ``ended`` its end is recorded already."""

    place: Place
    job: Any
    ended: Ended | None


class ReturnedRuns:
    """Keeps the runs that have ended, in their order, and records in another way what a claim did not record.

    Args:
        worker: the worker.
        current_run: its current run.
        line: the line, in which a reply is kept until the end that it tells of is recorded.
        recorder: records the ends that a claim does not.
        retry: calls a function until the server answers.
    """

    def __init__(
        self,
        worker: FinishingWorker,
        current_run: CurrentRun,
        line: Line,
        *,
        recorder: EndRecorder,
        retry: Callable[[Callable[[], object]], object],
    ) -> None:
        self._worker = worker
        self._current_run = current_run
        self._line = line
        self._recorder = recorder
        self._retry = retry
        self._runs: list[Returned] = []

    def __len__(self) -> int:
        return len(self.ends())

    def ends(self) -> list[Ended]:
        """Return the ends to record, the oldest first."""
        return [each.ended for each in self._runs if each.ended is not None]

    def runs(self) -> list[Run]:
        """Return the runs whose ends are to be recorded."""
        return [end.run for end in self.ends()]

    def add(self, place: Place, job: Any, ended: Ended | None = None) -> None:
        """Add a run that has ended; without ``ended`` its end is recorded."""
        if ended is not None and place.is_announced is not False and not ended.is_announced:
            ended = msgspec.structs.replace(ended, is_announced=place.is_announced)  # it lasted longer than most
        self._runs.append(Returned(place, job, ended))
        if ended is None:
            self._forget()

    def conclude(self, answers: Sequence[str]) -> None:
        """Log the ends that are recorded, and record the others one by one.

        Args:
            answers: those of the claim or the refill, to the ends that there were when it was sent: the oldest.
        """
        ended = [each for each in self._runs if each.ended is not None]
        for each, answer in zip(ended, answers, strict=False):
            self._conclude(each, answer)
        self._forget()

    def drop(self) -> None:
        """Give up: the worker was asked to end, and the server is away."""
        self._runs.clear()

    def _conclude(self, returned: Returned, answer: str) -> None:
        place, job, current = returned.place, returned.job, self._current_run
        ended, returned.ended = returned.ended, None
        if answer == "finished" and ended is not None:
            self._worker.log.info("Worker %s: %s: Job OK (%s)", self._worker.name, place.queue.name, job.id)
            log_end(job, "finished", seconds=lambda: ended.ended_s - ended.started_s, run=ended.run, worker=self._worker.name)
        elif current.run == place.run:
            self._record(returned, ended, answer)
        else:
            with current.standing_in(place.claim):
                self._record(returned, ended, answer)
        if current.run == place.run:
            current.release()

    def _record(self, returned: Returned, ended: Ended | None, answer: str) -> None:
        job, queue = returned.job, returned.place.queue
        if answer == "dependents" and ended is not None:
            self._retry(lambda: self._recorder.finished_with_dependents(job, queue, ended))
        else:
            self._retry(lambda: self._recorder.refused(job, queue))

    def _forget(self) -> None:
        """Forget the replies of the runs whose ends are recorded: the oldest, for their replies leave the socket in turn."""
        count = next((place for place, each in enumerate(self._runs) if each.ended is not None), len(self._runs))
        self._line.forget([each.place for each in self._runs[:count]])
        del self._runs[:count]
