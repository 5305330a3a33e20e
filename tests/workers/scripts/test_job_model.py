"""Jobs against a model: after any steps in any order, Redis holds what the model says."""

import os
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test
from rq import Retry

import notify
from notify.directory.scripts import DirectoryScripts
from notify.directory.target import Target
from notify.server import backoff
from tests.support.faults import server_ms
from tests.support.job_model import FIRST_BATCH, HOUR_MS, LARGEST_BATCH, NEEDS, SERVICES, Model, ModelJob
from tests.support.job_model_check import check_jobs
from tests.support.job_model_services import ServiceSteps
from tests.support.job_model_workers import WorkerSteps
from tests.support.workers_here import QUEUES, LeftError, ModelWorker, act, lose_an_answer, make_worker
from workers import DuplicateJobError, Job, JobRefusedError, Queue, requeue, rq_keys
from workers.fleet.reaper import Reaper
from workers.jobs.requirements import target_of
from workers.loss import held as holds
from workers.loss import overdue
from workers.loss.held import HeldJobs
from workers.loss.watcher import LossWatcher
from workers.scripts import jobs
from workers.scripts.jobs import JobScripts
from workers.worker import idle
from workers.worker.worker import _register_again

IDS = [f"j{number}" for number in range(6)]


LET_PASS = """
for _, need in ipairs(redis.call('HKEYS', KEYS[1])) do
  redis.call('HINCRBY', KEYS[1], need, 0 - ARGV[1])
end
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  redis.call('ZINCRBY', KEYS[2], 0 - ARGV[1], id)
end
for i = 3, #KEYS do
  local needs = redis.call('HGET', KEYS[i], 'needs')
  if needs and needs ~= '{}' then
    needs = cjson.decode(needs)
    for need, seen in pairs(needs) do
      if seen > 0 then needs[need] = seen - ARGV[1] end
    end
    redis.call('HSET', KEYS[i], 'needs', cjson.encode(needs))
  end
end
"""


class Jobs(WorkerSteps, ServiceSteps):
    """Takes each step on the server and in the model. In a comparison the server stands on the left, the model on the right."""

    def __init__(self, bus: notify.Bus, workers: dict[str, ModelWorker]) -> None:
        super().__init__()
        bus.redis.flushall()
        self.bus, self.client, self.workers = bus, bus.redis, workers
        self.scripts, self.directory = JobScripts(bus.redis), DirectoryScripts(bus.redis)
        self.watcher, self.holds, self.reaper = LossWatcher(bus.redis, lambda *_: None), HeldJobs(bus.redis), Reaper(bus.redis)
        self.queues = {name: Queue(name, connection=bus.redis) for name in ("q0", "q1")}
        self.model = Model(self.peek, self.peek_fence, lambda: server_ms(bus.redis))
        self.passed: dict[str, int] = {}
        for worker in workers.values():
            worker.forget()
            _register_again(worker, worker._client)

    def teardown(self) -> None:
        self.watcher.close()

    def peek(self, job_id: str) -> tuple[str, str | None, int | None]:
        status, held = self.client.hmget(rq_keys.job(job_id), "status", "held")
        until = self.client.zscore(self.bus.keys.holds, job_id)
        return status.decode(), held and held.decode(), None if until is None else int(until)

    def peek_fence(self, job_id: str) -> str | None:
        fence = self.client.hget(rq_keys.job(job_id), "fence")
        return fence and fence.decode()

    @precondition(lambda self: self.model.there)
    @rule(data=st.data(), kills=st.booleans(), then=st.sampled_from(["", "", "long ago", "and back"]))
    def a_service_goes(self, data: st.DataObject, kills: bool, then: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.there)))
        self.go(name, kills=kills)
        if then == "long ago":
            self.let_pass()
        elif then == "and back":
            self.come(name)

    @precondition(lambda self: len(self.in_hand) < len(QUEUES))
    @rule(
        data=st.data(), ids=st.permutations(IDS[::2]), need=st.sampled_from(["a", "any more"]), policy=st.sampled_from(["cancel", "hold"])
    )
    def jobs_wait_for_a_silent_service_and_one_does_not(self, data: st.DataObject, ids: list[str], need: str, policy: str) -> None:
        first, second, behind = ids
        for name in sorted(SERVICES.keys() - self.registered):
            self.come(name)
        for job_id in (first, second):
            self.put(ModelJob(job_id, "q0", 0, {need: 0}, policy))
        self.fall_silent(self.model.there.copy())
        self.put(ModelJob(behind, "q0", 0, {}))
        self.claim_for(data.draw(st.sampled_from(sorted(QUEUES.keys() - self.in_hand.keys()))))

    @precondition(lambda self: any(self.model.is_gone(need) for _, need in self.model.pairs))
    @rule(data=st.data(), beats=st.booleans())
    def a_service_is_back_and_falls_silent(self, data: st.DataObject, beats: bool) -> None:
        """So held jobs are not released, until it sends a heartbeat."""
        name, need = data.draw(st.sampled_from(sorted(pair for pair in self.model.pairs if self.model.is_gone(pair[1]))))
        service = need if need in SERVICES else "b"
        self.come(service)
        self.fall_silent({service})
        self.release_of(name, need)
        if beats:
            self.beat(service)
            self.release_of(name, need)

    @rule(
        job_id=st.sampled_from(IDS),
        needs=st.sets(st.sampled_from(NEEDS), min_size=1, max_size=2) | st.just(set()),
        policy=st.sampled_from(["cancel", "hold", "hold", "drain", "ignore"]),
        timed=st.booleans(),
        front=st.booleans(),
        unique=st.sampled_from([False, False, True]),
        retries=st.sampled_from([0, 0, 1]),
        lost=st.booleans(),
    )
    def enqueue(
        self,
        job_id: str,
        needs: set[str],
        policy: str,
        timed: bool,
        front: bool,
        unique: bool,
        retries: int,
        lost: bool,
    ) -> None:
        name = f"q{int(job_id[1:]) % 2}"
        new = ModelJob(job_id, name, 0, dict.fromkeys(needs, 0), policy, retries=retries)
        options: dict[str, Any] = {}
        if timed and policy == "hold":
            new.max_hold_ms = HOUR_MS
            options["max_hold_s"] = 3600
        elif timed and policy != "ignore":
            new.grace_ms = HOUR_MS
            options["grace_s"] = 3600
        if not needs:
            new.policy, new.grace_ms, new.max_hold_ms = "cancel", 0, None
        if lost:
            lose_an_answer(self.queues[name])
        try:
            made = self.queues[name].enqueue(
                act,
                needs=[*map(target_of, sorted(needs))],
                on_loss=policy,
                job_id=job_id,
                at_front=front,
                unique=unique,
                retry=Retry(max=retries) if retries else None,
                **options,
            )
        except DuplicateJobError:
            assert unique
            assert job_id in self.model.jobs
            return
        assert not (unique and job_id in self.model.jobs)
        done = self.model_enqueue(new, front=front)
        assert made._status == {"queued": "queued", "cancelled": "canceled", "held": "deferred"}[done]

    def put(self, new: ModelJob) -> None:
        needs, retry = [*map(target_of, sorted(new.needs))], Retry(max=new.retries) if new.retries else None
        self.queues[new.queue].enqueue(act, needs=needs, on_loss=new.policy, job_id=new.id, retry=retry)
        self.model_enqueue(new, front=False)

    @rule(data=st.data(), ids=st.permutations(IDS), retries=st.sampled_from([0, 1]))
    def plain_jobs_come(self, data: st.DataObject, ids: list[str], retries: int) -> None:
        """So that a worker may have claimed some of them ahead."""
        for job_id in ids[:4]:
            self.put(ModelJob(job_id, f"q{int(job_id[1:]) % 2}", 0, {}, retries=retries))
        if free := sorted(QUEUES.keys() - self.in_hand.keys()):
            self.claim_for(data.draw(st.sampled_from(free)))

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data())
    def requeue_one(self, data: st.DataObject) -> None:
        called_off = [job_id for job_id, job in self.model.jobs.items() if job.status in ("failed", "stopped", "canceled")]
        self.requeue(data.draw(st.sampled_from(sorted(called_off or self.model.jobs))))

    def requeue(self, job_id: str) -> None:
        old = self.model.jobs[job_id]
        if old.status not in ("failed", "stopped", "canceled"):
            with pytest.raises(JobRefusedError):
                requeue(self.client, job_id)
            return
        requeue(self.client, job_id)
        new = ModelJob(job_id, old.queue, 0, old.needs, old.policy, old.grace_ms, old.max_hold_ms, old.retries)
        self.model_enqueue(new, front=False)

    def model_enqueue(self, new: ModelJob, *, front: bool) -> str:
        done = self.model.enqueue(new, front=front)
        if done != "queued" or not self.model.has_to_wait(new):  # only a job on the list can meet an overdue service
            return done
        self.note_withdrawals()
        return self.model.check_waiting(new)

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data())
    def watcher_checks(self, data: st.DataObject) -> None:
        self.check(data.draw(st.sampled_from(sorted(self.in_hand))))

    def check(self, name: str) -> None:
        worker, run = self.workers[name], self.model.runs[name]
        assert worker._current_run.run is not None
        worker._stopper.check_run(worker._current_run.run)
        self.model.check_run(run)
        assert (worker._stopped_job_id == run.job_id) is run.is_stopping

    @precondition(lambda self: self.in_hand and self.model.there)
    @rule(data=st.data(), how=st.sampled_from(["success", "failure", "killed"]))
    def a_run_loses_all(self, data: st.DataObject, how: str) -> None:
        """So that it is stopped, and maybe held."""
        for gone in sorted(self.model.there):
            self.go(gone, kills=True)
        name = data.draw(st.sampled_from(sorted(self.in_hand)))
        self.check(name)
        self.end(name, how)

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data(), checked=st.booleans(), again=st.booleans())
    def stop(self, data: st.DataObject, checked: bool, again: bool) -> None:
        """A run is stopped, and its job tried again before the run is over."""
        name = data.draw(st.sampled_from(sorted(self.in_hand)))
        job_id = self.model.runs[name].job_id
        self.cancel(job_id)
        if checked:
            self.check(name)
        if again:
            self.requeue(job_id)

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data())
    def cancel_one(self, data: st.DataObject) -> None:
        self.cancel(data.draw(st.sampled_from(sorted(self.model.jobs))))

    def cancel(self, job_id: str) -> None:
        outcome = Job(job_id, connection=self.client).cancel("because")
        assert outcome is not None
        assert outcome.status == self.model.cancel(self.model.jobs[job_id])

    @precondition(lambda self: any(job.waits for job in self.model.jobs.values()))
    @rule(name=st.sampled_from(["q0", "q1"]), need=st.sampled_from([None, *NEEDS]), odd=st.sampled_from([None, 0, 1]))
    def cancel_many(self, name: str, need: str | None, odd: int | None) -> None:
        if (need is None and odd is None) or not self.client.sismember(rq_keys.QUEUES, rq_keys.queue(name)):
            return
        target: Target | None = target_of(need) if need else None
        meant = [
            job
            for job in self.model.jobs.values()
            if job.waits and job.queue == name and (need is None or need in job.needs) and (odd is None or int(job.id[1:]) // 2 % 2 == odd)
        ]
        where = None if odd is None else (lambda job: int(job.id[1:]) // 2 % 2 == odd)
        assert self.queues[name].cancel(needs=target, where=where) == len(meant)
        for job in meant:
            self.model.end(job, "canceled")
        self.model.compact_queue(name)

    @precondition(lambda self: any(job.waits for job in self.model.jobs.values()))
    @rule(need=st.sampled_from(NEEDS), count=st.sampled_from([1, 2, 5]))
    def apply_some_of_a_loss(self, need: str, count: int) -> None:
        passed = self.passed.get(need, 0)
        lost = self.scripts.apply_loss(need, passed=passed, count=count)
        assert (lost.looked_at, lost.waiting) == self.model.apply_loss(need, passed=passed, count=count)
        self.passed[need] = passed + lost.waiting if lost.looked_at else 0

    @precondition(lambda self: any(job.waits for job in self.model.jobs.values()))
    @rule(need=st.sampled_from(NEEDS))
    def apply_a_whole_loss(self, need: str) -> None:
        done = self.watcher.apply_loss(need)
        before = {job.id: job.status for job in self.model.jobs.values()}
        self.model.apply_loss(need, passed=0, count=len(IDS))
        changed = [job for job in self.model.jobs.values() if before[job.id] != job.status]
        assert done == len(changed)
        for queue in {job.queue for job in changed}:
            self.model.compact_queue(queue)

    @precondition(lambda self: any(self.model.lists.values()))
    @rule(name=st.sampled_from(["q0", "q1"]))
    def compact(self, name: str) -> None:
        self.scripts.compact_queue(name)
        self.model.compact_queue(name)

    @precondition(lambda self: self.model.pairs)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.release_of(*data.draw(st.sampled_from(sorted(self.model.pairs))))

    def release_of(self, name: str, need: str) -> None:
        assert self.scripts.release_held(name, need, first=FIRST_BATCH, most=LARGEST_BATCH) == self.model.release(name, need)

    @precondition(lambda self: self.model.pairs)
    @rule()
    def run_the_duty_of_held_jobs(self) -> None:
        pairs = [tuple(pair) for pair in self.scripts.expire_holds(0)[1]]
        assert set(pairs) == self.model.pairs
        self.holds.run()
        self.model.expire()
        for queue, need in pairs:
            self.model.release(queue, need)

    @precondition(lambda self: any(job.until_ms for job in self.model.jobs.values()))
    @rule(most=st.sampled_from([1, 2, 9]))
    def expire(self, most: int) -> None:
        done = 0
        while over := self.scripts.expire_holds(most)[0]:
            done += over
        assert done == self.model.expire()

    @precondition(lambda self: self.model.serials)
    @rule()
    def let_pass(self) -> None:
        jobs = [rq_keys.job(job_id) for job_id in self.model.jobs]
        self.client.eval(LET_PASS, 2 + len(jobs), self.bus.keys.losses, self.bus.keys.holds, *jobs, 2 * HOUR_MS)
        self.model.let_pass(2 * HOUR_MS)

    @precondition(lambda self: any(self.model.lines.values()))
    @rule(data=st.data())
    def take_a_worker_for_dead(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(name for name, line in self.model.lines.items() if line)))
        current: Any = self.client.hget(rq_keys.worker(name), "current_job")
        self.reaper.reap(name, current.decode() if current else "")
        self.model.reap(name)
        _register_again(self.workers[name], self.workers[name]._client)  # it was only silent

    @invariant()
    def every_job_is_where_it_should_be(self) -> None:
        check_jobs(self.client, self.bus.keys, self.model)

    @invariant()
    def no_job_runs_twice(self) -> None:
        live = [run.job_id for run in self.model.all_runs if self.model.jobs[run.job_id].fence == run.fence]
        assert len(live) == len(set(live))


@pytest.fixture
def workers(bus: notify.Bus, window: int) -> Iterator[dict[str, ModelWorker]]:
    made = {name: make_worker(bus, name, window=window) for name in QUEUES}
    yield made
    for worker in made.values():
        worker._horse.close()
        worker.hang_up()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("window", "examples"), [(1, 100), (32, 80)])
def test_jobs_do_what_their_model_says(
    bus: notify.Bus, workers: dict[str, ModelWorker], examples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(_status: int) -> None:
        raise LeftError  # nothing must go on after it

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(backoff, "FIRST_PAUSE_S", 0.0001)
    monkeypatch.setattr(overdue, "PAUSE_S", 0.0)
    monkeypatch.setattr(idle, "BURST_WAIT_S", 0.0)  # a step does not wait
    monkeypatch.setattr(jobs, "UNBEGUN_S", 0.0)
    monkeypatch.setattr(holds, "FIRST_BATCH", FIRST_BATCH)
    monkeypatch.setattr(holds, "LARGEST_BATCH", LARGEST_BATCH)
    thorough = hypothesis.settings(stateful_step_count=40, max_examples=examples, deadline=None)
    run_state_machine_as_test(lambda: Jobs(bus, workers), settings=thorough)
    bus.redis.flushall()
