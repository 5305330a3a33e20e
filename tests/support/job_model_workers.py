"""The workers of the model of jobs: they claim, one job or a batch, end their runs, and give back what has not begun."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.support.job_model import Model, ModelRun
from tests.support.workers_here import QUEUES, ModelWorker

__all__ = ["WorkerSteps"]


class WorkerSteps(RuleBasedStateMachine):
    """Takes each step of a worker on the server and in the model, which follows what the worker has claimed ahead."""

    model: Model
    workers: dict[str, ModelWorker]

    def __init__(self) -> None:
        super().__init__()
        self.in_hand: dict[str, tuple[Any, Any]] = {}

    def cancel(self, job_id: str) -> None:
        raise NotImplementedError

    @property
    def ahead(self) -> dict[str, list[ModelRun]]:
        """The runs that the workers have claimed and not come to."""
        lines = {name: [run for run in line if not run.returned] for name, line in self.model.lines.items()}
        return {name: ahead for name, line in lines.items() if (ahead := [run for run in line if run is not self.model.runs.get(name)])}

    @precondition(lambda self: len(self.in_hand) < len(QUEUES))
    @rule(data=st.data(), lost=st.booleans())
    def claim(self, data: st.DataObject, lost: bool) -> None:
        self.claim_for(data.draw(st.sampled_from(sorted(QUEUES.keys() - self.in_hand.keys()))), lost=lost)

    def claim_for(self, name: str, *, lost: bool = False) -> None:
        worker = self.workers[name]
        self.lose_an_answer_to(name, lost=lost)
        found = worker.dequeue_job_and_maintain_ttl(None)
        self.follow(name)
        if found is None:
            assert not self.model.lines[name]
            assert self.model.claim(QUEUES[name]) is None
            return
        assert worker._current_run.run is not None
        run = next(run for run in self.model.lines[name] if run.fence == worker._current_run.run.fence)
        assert found[0].id == run.job_id
        live = [each for each in self.model.lines[name] if not each.returned and self.model.jobs[each.job_id].fence == each.fence]
        assert run not in live[1:], "only those that never begin are out of turn"
        self.in_hand[name], self.model.runs[name] = found, run
        if worker._current_run.stopped_job_id == run.job_id:  # it was stopped while another one was at work
            self.model.check_run(run)
            assert run.is_stopping

    def lose_an_answer_to(self, name: str, *, lost: bool) -> None:
        self.workers[name]._loop._claimer._claims.loses = lost  # type: ignore[attr-defined]  # it is one of ours

    def follow(self, name: str) -> None:
        """Record in the model which ends the worker has recorded, what it has claimed, and what it has given back, in this order."""
        loop, line = self.workers[name]._loop, self.model.lines[name]
        loop.ahead.settle()
        unrecorded = {run.fence for run in loop._returned.runs()}
        for run in [run for run in line if run.returned and run.fence not in unrecorded]:
            self.model.end_run(name, run)
        known = {run.fence for run in line}
        for new in [run for run in loop.ahead.runs() if run.fence not in known]:
            expected = self.model.claim(QUEUES[name])
            assert (expected and expected.id) == new.job_id
            assert expected is not None
            self.model.start(expected, name, new.fence)
        kept = {run.fence for run in loop.ahead.runs()} | unrecorded
        self.model.give_back([run for run in self.ahead.get(name, []) if run.fence not in kept])
        held = {run.fence for run in loop.held()}
        line[:] = [run for run in line if run.fence in held or run is self.model.runs.get(name)]

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data(), how=st.sampled_from(["success", "success", "failure", "killed"]))
    def end_a_run(self, data: st.DataObject, how: str) -> None:
        self.end(data.draw(st.sampled_from(sorted(self.in_hand))), how)

    def end(self, name: str, how: str) -> None:
        worker, run = self.workers[name], self.model.runs[name]
        worker._horse.end_as = how
        worker.execute_job(*self.in_hand.pop(name))
        self.follow(name)
        del self.model.runs[name]
        if run.fence in {returned.fence for returned in worker._loop._returned.runs()}:
            run.returned = True
        else:
            self.model.end_run(name, run, fails=how in ("failure", "killed"))

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data(), lost=st.booleans())
    def a_run_takes_long(self, data: st.DataObject, lost: bool) -> None:
        """So what would have to wait for it is given back."""
        name = data.draw(st.sampled_from(sorted(self.in_hand)))
        self.lose_an_answer_to(name, lost=lost)
        self.workers[name]._loop.ahead.goes_on(ttl_s=90)
        self.follow(name)

    @precondition(lambda self: self.ahead)
    @rule(data=st.data(), told=st.booleans())
    def stop_a_run_that_has_not_begun(self, data: st.DataObject, told: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.ahead)))
        run = data.draw(st.sampled_from(self.ahead[name]))
        self.cancel(run.job_id)
        worker = self.workers[name]
        found = next((each for each in worker._loop.held() if each.fence == run.fence), None)
        if told and found is not None:
            worker._stopper.check_run(found)
