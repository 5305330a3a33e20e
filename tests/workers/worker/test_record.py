"""The recorder of ends, without a server: which end is recorded, when another one was decided before."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from rq.job import JobStatus

from tests.support.claims_here import STOPPED_CHECK, FakeScripts, a_claim
from workers.horse.channel import Reply
from workers.horse.serving import Death
from workers.scripts.run import Ended, Run, RunCheck
from workers.worker.current_run import CurrentRun
from workers.worker.record import EndRecorder
from workers.worker.stop import STOPPED

QUEUE: Any = SimpleNamespace(name="work", started_job_registry=None)
DEATH = Death(4711, 9, (0,) * 16)
GOES_ON = RunCheck(may_run=True)
SUPERSEDED = RunCheck(may_run=False, superseded=True)


class Scripts(FakeScripts):
    """Scripts that also seal and hold the run, if a test says so."""

    holds, seals = "", True

    def hold_run(self, job_id: str, *, fence: str) -> str:
        return self.holds

    def seal_run(self, job_id: str, *, fence: str) -> bool:
        return self.seals


class Situation:
    """A recorder, the current run of which is that of a claim, and the methods of RQ that it calls."""

    def __init__(self, *, found: RunCheck = STOPPED_CHECK) -> None:
        self.called: list[Any] = []
        self.current, self.scripts = CurrentRun(), Scripts(found=found)
        self.current.take(a_claim("j"))
        pipeline = SimpleNamespace(execute=lambda: None)
        worker: Any = SimpleNamespace(
            name="w",
            log=SimpleNamespace(info=lambda *_: None),
            connection=SimpleNamespace(pipeline=lambda: nullcontext(pipeline)),
            ensure_execution=lambda: None,
            cleanup_execution=lambda job, pipeline: self.called.append("traces removed"),
            handle_work_horse_killed=lambda job, pid, status, usage: self.called.append("killed handler"),
            handle_job_failure=lambda job, queue, exc_string: self.called.append(exc_string),
            handle_job_success=lambda job, queue, registry: self.called.append(job._result),
        )
        callback: Any = SimpleNamespace(call=lambda job, queue: self.called.append("on_stopped"))
        scripts: Any = self.scripts
        self.recorder = EndRecorder(worker, self.current, scripts=scripts, stopped_callback=callback)
        self.job: Any = SimpleNamespace(id="j", origin="work", get_status=lambda: JobStatus.STARTED)

    def record(self, end: Reply | Death | None) -> list[Any]:
        self.recorder.record(self.job, QUEUE, end)
        return self.called


@pytest.mark.parametrize("end", [None, Reply(stopped=True)])
def test_a_stopped_run_is_called_back_and_recorded(end: Reply | None) -> None:
    assert Situation().record(end) == ["on_stopped", STOPPED]


def test_a_run_that_is_held_is_neither_called_back_nor_recorded() -> None:
    its = Situation()
    its.scripts.holds = "held"
    assert its.record(None) == []


def test_a_stopped_job_that_was_enqueued_again_only_loses_the_traces_of_its_run() -> None:
    assert Situation(found=SUPERSEDED).record(None) == ["traces removed"]


def test_a_run_whose_process_died_has_failed() -> None:
    killed, reason = Situation(found=GOES_ON).record(DEATH)
    assert killed == "killed handler"
    assert "waitpid returned 9 (signal 9)" in reason


def test_a_run_whose_process_died_of_its_stop_was_stopped() -> None:
    its = Situation()
    its.current.mark_stopped("svc is gone")
    assert its.record(DEATH) == ["on_stopped", STOPPED]


@pytest.mark.parametrize("status", [JobStatus.FINISHED, JobStatus.FAILED, JobStatus.QUEUED, JobStatus.SCHEDULED])
def test_a_process_that_died_after_its_end_was_recorded_changes_nothing(status: JobStatus) -> None:
    """The horse may die between the two; or another run of the job has ended meanwhile."""
    its = Situation(found=GOES_ON)
    its.job.get_status = lambda: status
    assert its.record(DEATH) == ["traces removed"]


def test_a_process_that_was_killed_when_another_run_had_the_job_did_not_fail() -> None:
    """It had recorded that the job is tried again, had lost the answer, and was asking; the next run of the job had begun."""
    assert Situation(found=SUPERSEDED).record(DEATH) == ["traces removed"]


def test_a_job_that_cannot_be_read_has_failed_with_the_reason() -> None:
    assert Situation().record(Reply(problem="too large")) == ["too large"]


def test_an_end_that_the_horse_recorded_is_not_recorded_again() -> None:
    assert Situation().record(Reply()) == []


def test_a_run_that_ended_just_after_its_stop_was_marked_was_stopped() -> None:
    """The worker has not heard of the stop yet; its own claim is refused."""
    its = Situation()
    its.recorder.refused(its.job, QUEUE)
    assert its.scripts.answered == [Run("j", "f")], "whoever cancelled the job need not wait any longer"
    assert (its.called, its.current.stopped_job_id) == (["on_stopped", STOPPED], "j")


def test_the_end_of_a_superseded_run_only_removes_its_traces() -> None:
    its = Situation(found=SUPERSEDED)
    its.recorder.refused(its.job, QUEUE)
    assert (its.called, its.current.stopped_job_id) == (["traces removed"], None)


@pytest.mark.parametrize(("seals", "called"), [(True, ["x"]), (False, ["on_stopped", STOPPED])])
def test_a_job_with_dependents_finishes_only_if_its_run_may_still_end(seals: bool, called: list[Any]) -> None:
    its = Situation()
    its.scripts.seals = seals
    its.recorder.finished_with_dependents(its.job, QUEUE, Ended(Run("j", "f"), 1.0, 2.0, b"Ingi"))
    assert its.called == called
