"""Workers to whom something happens at the worst moment: ``python -m tests.support.odd_workers <class> <url> [options]``.

They work until the queues ``work`` and ``more`` are empty, unless the options of ``work``, as JSON, say otherwise.
"""

import json
import os
import signal
import sys
from typing import Any

import notify
from notify.testing import wait_until
from tests.support.sample_jobs import EFFECTS, WAIT_S
from workers import Job, Worker


class ToldToEndBeforeItStarts(Worker):
    """SIGTERM comes when a job has been taken and has not begun."""

    def _give(self, claim: Any, queue: Any) -> bool:
        os.kill(os.getpid(), signal.SIGTERM)
        return super()._give(claim, queue)


class ToldToEndAsItTakesAJob(Worker):
    """SIGTERM comes when the server has just handed over a job."""

    def _begin(self, claim: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return super()._begin(claim)


class StoppedBeforeItsProcess(Worker):
    """Each job is cancelled after its claim, before it begins in the horse."""

    def _give(self, claim: Any, queue: Any) -> bool:
        Job.fetch(claim.job_id, connection=self.connection).cancel("early")
        wait_until(lambda: self._stopped_job_id == claim.job_id)
        return super()._give(claim, queue)


class StoppedBeforeItsAnswer(Worker):
    """Each job is cancelled after its claim, and the worker told so, before the answer to the claim is there."""

    def _next_claim(self, queues: Any) -> Any:
        claim = super()._next_claim(queues)
        if claim.answer == "started":
            Job.fetch(claim.job_id, connection=self.connection).cancel("early")
            wait_until(lambda: self._unheard_stop == claim.job_id, timeout_s=2)
        return claim


class StoppedTooLate(Worker):
    """What ends a run is on its way until the next job runs."""

    def _stop_run(self, run: Any, verdict: str) -> None:
        wait_until(lambda: self._run not in (None, run) and self._horse_pid, timeout_s=WAIT_S)
        super()._stop_run(run, verdict)
        self.connection.hincrby(EFFECTS, "too late")


class JudgedOnceMore(Worker):
    """The guard looks at a stopped job again just before the worker lets go of it."""

    def _tell_end(self, job: Any) -> None:
        super()._tell_end(job)
        assert self._loss_watcher is not None
        self._loss_watcher.check()


class WithHandlers(Worker):
    """Somebody's own handlers of what goes wrong, as RQ takes them."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, exception_handlers=[self.note_error], work_horse_killed_handler=self.note_death)

    def note_error(self, job: Any, *error: Any) -> None:
        self.connection.hincrby(EFFECTS, f"error {error[0].__name__}")

    def note_death(self, job: Any, pid: int, status: int, usage: Any) -> None:
        self.connection.hincrby(EFFECTS, f"death {os.WTERMSIG(status)} {pid > 0} {usage.ru_maxrss > 0}")


class WithAHandlerThatSavesTheJob(Worker):
    """As in RQ's documentation of exception handlers."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, exception_handlers=[self.save])

    def save(self, job: Any, *error: Any) -> None:
        job.meta["told"] = True
        job.save()


class WithItsOwnWayToPerform(Worker):
    """Somebody's own code around each job, as RQ's users write it."""

    def perform_job(self, job: Any, queue: Any) -> bool:
        self.connection.hincrby(EFFECTS, "around")
        return super().perform_job(job, queue)


if __name__ == "__main__":
    with notify.connect(sys.argv[2]) as bus:
        odd: type[Worker] = globals()[sys.argv[1]]
        options = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {"burst": True}
        odd(["work", "more"], connection=bus.redis, modules=["tests.support.sample_jobs"]).work(logging_level="WARNING", **options)
