"""Workers in which something happens at the worst moment: ``python -m tests.support.odd_workers <class> <url> [options]``.

They work until the queues ``work`` and ``more`` are empty, unless the options of `Worker.work`, as JSON, say otherwise.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import notify
from notify.testing import wait_until
from tests.support.sample_jobs import EFFECTS, WAIT_S
from workers import Job, Worker
from workers.worker.stop import Stopper


class SignalledBeforeTheStart(Worker):
    """SIGTERM arrives when a job has been claimed and the horse does not have it yet."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        before(self._loop._line, "give", lambda places: os.kill(os.getpid(), signal.SIGTERM))


class SignalledAtTheClaim(Worker):
    """SIGTERM arrives when the server has just answered a claim."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        before(self._loop.ahead, "_give", lambda places: os.kill(os.getpid(), signal.SIGTERM))


class StoppedBeforeTheStart(Worker):
    """Each job is cancelled after its claim, before the horse has it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        before(self._loop.ahead, "_give", lambda places: [cancel(self, place.claim.job_id) for place in places])


class StoppedBeforeTheAnswer(Worker):
    """Each job is cancelled after its claim, and the command to stop it obeyed, before the answer to the claim arrives."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        claims: Any = self._loop._claimer._claims
        for name in ("refill", "receive_refill"):
            setattr(claims, name, partial(self.claim_and_cancel, getattr(claims, name)))  # the moment for it

    def claim_and_cancel(self, refill: Callable[..., Any], *args: Any, **options: Any) -> Any:
        answer = refill(*args, **options)
        for claim in answer.claims:
            cancel(self, claim.job_id)
        return answer


class StoppedTooLate(Worker):
    """A stop takes until the next job runs."""

    def __init__(self, *args: Any, **options: Any) -> None:
        with mock.patch("workers.worker.parts.Stopper", LateStopper):
            super().__init__(*args, **options)


class LateStopper(Stopper):
    """Stops a run when another one is in hand."""

    def stop_run(self, run: Any, found: Any) -> None:
        current = self._current_run
        wait_until(lambda: current.run not in (None, run) and current.horse_pid, timeout_s=WAIT_S)
        super().stop_run(run, found)
        self._scripts.client.hincrby(EFFECTS, "too late")


class CheckedOnceMore(Worker):
    """The loss watcher checks a stopped job again just before the worker releases it."""

    def handle_job_failure(self, job: Any, *args: Any, **options: Any) -> None:
        super().handle_job_failure(job, *args, **options)
        assert self._background.loss_watcher is not None
        self._background.loss_watcher.check()


class WithHandlers(Worker):
    """Handlers for exceptions and for the death of the horse, as RQ takes them."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, exception_handlers=[self.note_error], work_horse_killed_handler=self.note_death)

    def note_error(self, job: Any, *error: Any) -> None:
        self.connection.hincrby(EFFECTS, f"error {error[0].__name__}")

    def note_death(self, job: Any, pid: int, status: int, usage: Any) -> None:
        self.connection.hincrby(EFFECTS, f"death {os.WTERMSIG(status)} {pid > 0} {usage.ru_maxrss > 0}")


class WithAHandlerThatSavesTheJob(Worker):
    """An exception handler that saves the job, as in RQ's documentation."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, exception_handlers=[self.save])

    def save(self, job: Any, *error: Any) -> None:
        job.meta["told"] = True
        job.save()


class WithItsOwnWayToPerform(Worker):
    """A subclass with code around each job, as RQ's users write it."""

    def perform_job(self, job: Any, queue: Any, *execution: Any, **named: Any) -> bool:  # the run is an argument in RQ 3
        self.connection.hincrby(EFFECTS, "around")
        return super().perform_job(job, queue, *execution, **named)


def odd_worker(name: str, url: str) -> list[str]:
    """Return the command that starts one."""
    return [sys.executable, "-m", "tests.support.odd_workers", name, url]


def run_odd_worker(name: str, url: str) -> None:
    """Run one until it ends."""
    done = subprocess.run(odd_worker(name, url), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def cancel(worker: Worker, job_id: str) -> None:
    """Cancel a job, and return when its worker has heard of it."""
    job = Job.fetch(job_id, connection=worker.connection)
    threading.Thread(target=job.cancel, args=("early",)).start()  # it waits until the worker says that the job does not begin
    wait_until(lambda: job_id in worker._current_run.early_stops, timeout_s=2)


def before(target: Any, method: str, act: Callable[..., object]) -> None:
    """Call something with the same arguments before each call of a method of an object."""
    original = getattr(target, method)

    def act_and_call(*args: Any) -> Any:
        act(*args)
        return original(*args)

    setattr(target, method, act_and_call)


if __name__ == "__main__":
    with notify.connect(sys.argv[2]) as bus:
        odd: type[Worker] = globals()[sys.argv[1]]
        options = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {"burst": True}
        odd(["work", "more"], connection=bus.redis, modules=["tests.support.sample_jobs"]).work(logging_level="WARNING", **options)
