"""Held jobs: they come back in their old order, some at a time, or are cancelled after their time."""

import threading
from datetime import timedelta
from typing import Any

import pytest
import rq

import notify
from notify.testing import wait_until
from tests.support.sample_jobs import add, add_when_svc_is_there, hold, hold_and_fail
from tests.workers.conftest import Effects, StartWorkers, claim_next
from tests.workers.queue.test_queue import run_scheduler
from workers import Job, JobRefusedError, Outcome, Queue, explain, requeue, rq_keys
from workers.loss.held import FIRST_BATCH, IDLE_PAUSE_S, LARGEST_BATCH, MAX_PAUSE_S, MIN_PAUSE_S, HeldJobs
from workers.scripts.jobs import AT_ONCE, JobScripts
from workers.scripts.run import Run

PATIENT: Any = {"needs": "svc", "on_loss": "hold"}


@pytest.fixture
def holds(bus: notify.Bus) -> HeldJobs:
    return HeldJobs(bus.redis)


@pytest.fixture
def scripts(bus: notify.Bus) -> JobScripts:
    return JobScripts(bus.redis)


def enqueue(queue: Queue, count: int, **terms: Any) -> list[str]:
    """Enqueue jobs that wait for ``svc``. Returns their ids."""
    return [queue.enqueue(add, **{**PATIENT, **terms}).id for _ in range(count)]


def take_all(bus: notify.Bus) -> list[str]:
    """Start all that is in the queue, one after the other."""
    taken = []
    while (claim := claim_next(bus, fence=f"f{len(taken)}")).answer == "started":
        taken.append(claim.job_id)
    return taken


def start(bus: notify.Bus, *, fence: str = "mine") -> Run:
    claim = claim_next(bus, fence=fence)
    assert claim.answer == "started"
    return claim.run


def release_and_take_all(bus: notify.Bus, holds: HeldJobs, count: int) -> list[str]:
    """As a leader and a worker do by turns."""
    taken: list[str] = []

    def go_on() -> bool:
        holds.run()
        taken.extend(take_all(bus))
        return len(taken) >= count

    wait_until(go_on, what=f"{count} jobs; {len(taken)} came")
    return taken


def is_clean(bus: notify.Bus, queue: Queue) -> bool:
    """Whether nothing tells any more that jobs were held."""
    keys = bus.keys
    known = bus.redis.exists(keys.held_pairs, keys.held("work", "svc"), keys.holds)
    return not known and not queue.deferred_job_registry.get_job_ids()


def test_held_jobs_come_back_in_their_old_order_before_those_that_were_enqueued_later(
    bus: notify.Bus, queue: Queue, scripts: JobScripts
) -> None:
    held = enqueue(queue, 30)
    first_of_all = queue.enqueue(add, at_front=True, **PATIENT).id
    taken, later, urgent = [], [], ""
    with bus.service("svc"):
        for number in range(6):
            if number < 3:
                later += enqueue(queue, 1)
            scripts.release_held("work", "svc", first=FIRST_BATCH, most=LARGEST_BATCH)
            taken += take_all(bus)  # a worker is faster than those who look after the holds
        assert taken == [first_of_all, *held, *later]
        urgent = queue.enqueue(add, at_front=True, **PATIENT).id
        assert queue.job_ids == [urgent]
    assert is_clean(bus, queue)


def test_jobs_are_not_mixed_up_whose_queues_and_services_look_the_same_when_written_together(bus: notify.Bus, holds: HeldJobs) -> None:
    pairs = [("a", "b:c"), ("a:b", "c"), ("a%3Ab", "c"), ("a:b:", "c"), ("a:b", ":c")]
    jobs = [Queue(name, connection=bus.redis).enqueue(add, needs=need, on_loss="hold") for name, need in pairs]
    assert [bus.redis.zrange(bus.keys.held(*pair), 0, -1) for pair in pairs] == [[job.id.encode()] for job in jobs]
    for _, need in pairs:
        with bus.service(need):
            holds.run()
    assert [(job.get_status(), job.held) for job in jobs] == [("queued", None)] * len(jobs)
    assert not bus.redis.exists(bus.keys.held_pairs)


def test_only_what_may_be_held_waits_for_those_that_were_held_before(bus: notify.Bus, queue: Queue) -> None:
    enqueue(queue, 20)
    with bus.service("svc"), bus.service("other"):
        behind = queue.enqueue(add, max_hold_s=50, **PATIENT)
        others = [queue.enqueue(add, needs="svc"), queue.enqueue(add, needs="other", on_loss="hold"), queue.enqueue(add)]
        urgent = queue.enqueue(add, at_front=True, **PATIENT)
        elsewhere = Queue("elsewhere", connection=bus.redis).enqueue(add, **PATIENT)
        assert (behind.held, behind.get_status(refresh=False), bus.redis.zscore(bus.keys.holds, behind.id) is not None) == (
            "svc",
            "deferred",
            True,
        )
        assert queue.job_ids == [urgent.id, *(job.id for job in others)]
        assert elsewhere.held is None


def test_they_keep_their_order_over_many_losses(bus: notify.Bus, queue: Queue, holds: HeldJobs, scripts: JobScripts) -> None:
    held = enqueue(queue, 12)
    for number in range(3):
        with bus.service("svc"):
            holds.run()
            assert queue.job_ids[:FIRST_BATCH] == held[:FIRST_BATCH]
            held += enqueue(queue, 1)  # it is behind those that came back, before those that are to
        scripts.apply_loss("svc", passed=0, count=100)
        scripts.compact_queue("work")
        assert queue.job_ids == [], f"at loss {number}"
    with bus.service("svc"):
        assert release_and_take_all(bus, holds, 15) == held


def test_jobs_come_back_twice_as_many_each_time_and_no_more_while_the_last_one_waits(
    bus: notify.Bus, queue: Queue, scripts: JobScripts
) -> None:
    enqueue(queue, 60)
    released = []
    with bus.service("svc"):
        while (answer := scripts.release_held("work", "svc", first=8, most=512)).left:
            released.append(answer.released)
            assert scripts.release_held("work", "svc", first=8, most=512) == (0, answer.left, True)
            for _ in range(answer.released - 1):
                start(bus)
            assert scripts.release_held("work", "svc", first=8, most=512) == (0, answer.left, True), "the last one waits"
            start(bus)
        released.append(answer.released)
    assert released == [8, 16, 32, 4]


def test_jobs_that_come_back_all_at_once_overrun_what_they_need(bus: notify.Bus, queue: Queue, scripts: JobScripts) -> None:
    """The twin, without the ramp."""
    enqueue(queue, 60)
    with bus.service("svc"):
        assert scripts.release_held("work", "svc", first=1_000, most=1_000).released == 60


def test_no_more_than_the_most_come_back_at_once(bus: notify.Bus, queue: Queue, scripts: JobScripts) -> None:
    enqueue(queue, 20)
    released = []
    with bus.service("svc"):
        for _ in range(4):
            released.append(scripts.release_held("work", "svc", first=2, most=5).released)
            take_all(bus)
    assert released == [2, 4, 5, 5]


def test_another_loss_begins_the_ramp_anew(bus: notify.Bus, queue: Queue, scripts: JobScripts) -> None:
    """What went down under its load is not met with twice of it."""
    held = enqueue(queue, 40)
    with bus.service("svc"):
        assert scripts.release_held("work", "svc", first=8, most=512).released == 8
        take_all(bus)
        assert scripts.release_held("work", "svc", first=8, most=512).released == 16
    scripts.apply_loss("svc", passed=0, count=100)
    scripts.compact_queue("work")
    with bus.service("svc"):
        assert scripts.release_held("work", "svc", first=8, most=512).released == 8
        assert take_all(bus) == held[8:16]


def test_a_second_loss_while_jobs_come_back_holds_those_that_did_not_start(
    bus: notify.Bus, queue: Queue, holds: HeldJobs, scripts: JobScripts
) -> None:
    held = enqueue(queue, 10)
    with bus.service("svc"):
        holds.run()
        started = start(bus).job_id
    assert claim_next(bus).answer == ""
    assert scripts.release_held("work", "svc", first=8, most=512) == (0, 9, False)
    assert [Job.fetch(job_id, connection=bus.redis).held for job_id in held] == [None] + ["svc"] * 9
    with bus.service("svc"):
        assert [started, *release_and_take_all(bus, holds, 9)] == held
    assert is_clean(bus, queue)


@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
def test_a_job_that_needs_two_services_comes_back_when_both_are_there(
    bus: notify.Bus, queue: Queue, holds: HeldJobs, order: tuple[str, str]
) -> None:
    job = queue.enqueue(add, needs=["one", "two"], on_loss="hold", max_hold_s=100)
    before: Any = bus.redis.zscore(bus.keys.holds, job.id)
    first, second = order
    with bus.service(first):
        holds.run()
        assert (job.held, claim_next(bus).answer) == (second, "")
        assert bus.redis.zscore(bus.keys.holds, job.id) == before, "its time goes on"
        with bus.service(second):
            wait_until(lambda: holds.run() and claim_next(bus).job_id == job.id)
    assert not bus.redis.exists(bus.keys.held_pairs, bus.keys.holds)


def test_a_job_whose_first_service_goes_while_the_second_comes_is_held_for_the_first(
    bus: notify.Bus, queue: Queue, holds: HeldJobs
) -> None:
    job = queue.enqueue(add, needs=["one", "two"], on_loss="hold")
    with bus.service("one"):
        holds.run()
    with bus.service("two"):
        holds.run()
        holds.run()
        assert (job.held, claim_next(bus).answer) == ("one", "")
        with bus.service("one"):
            holds.run()
            assert claim_next(bus).job_id == job.id


def test_a_job_that_ran_is_held_and_comes_first(bus: notify.Bus, queue: Queue, holds: HeldJobs, scripts: JobScripts) -> None:
    with bus.service("svc"):
        jobs = enqueue(queue, 3)
        run = start(bus)
    assert scripts.apply_loss("svc", passed=0, count=10).held == 2
    scripts.compact_queue("work")
    assert scripts.check_run(run.job_id, fence=run.fence).lost == "svc"
    assert scripts.hold_run(run.job_id, fence=run.fence) == "held"
    assert scripts.hold_run(run.job_id, fence=run.fence) == "", "once"
    assert queue.started_job_registry.get_job_ids() == []
    with bus.service("svc"):
        holds.run()
        assert take_all(bus) == jobs


def test_a_job_that_ran_and_is_held_is_found_by_its_need_and_has_no_run_any_more(
    bus: notify.Bus, queue: Queue, scripts: JobScripts
) -> None:
    with bus.service("svc"):
        enqueue(queue, 1)
        run = start(bus)
        assert bus.redis.zcard(bus.keys.needs("svc")) == 0
    scripts.check_run(run.job_id, fence=run.fence)
    scripts.hold_run(run.job_id, fence=run.fence)
    assert bus.redis.zrange(bus.keys.needs("svc"), 0, -1) == [run.job_id.encode()]
    runs = (rq_keys.execution(f"{run.job_id}:{run.fence}"), rq_keys.executions(run.job_id), rq_keys.started("work"))
    assert bus.redis.exists(*runs) == 0


def test_lost_jobs_at_the_front_of_their_queue_leave_its_list_at_once(bus: notify.Bus, queue: Queue, scripts: JobScripts) -> None:
    with bus.service("svc"):
        enqueue(queue, 3)
        keeper = queue.enqueue(add)
    assert scripts.apply_loss("svc", passed=0, count=10).queues == []
    assert queue.job_ids == [keeper.id]


def test_when_the_last_held_job_is_gone_nobody_looks_for_it_any_more(bus: notify.Bus, queue: Queue, holds: HeldJobs) -> None:
    (job_id,) = enqueue(queue, 1)
    bus.redis.delete(Job.key_for(job_id))
    with bus.service("svc"):
        holds.run()
    assert bus.redis.exists(bus.keys.held_pairs, bus.keys.held("work", "svc")) == 0


def test_a_run_that_nobody_stopped_for_that_is_not_held(bus: notify.Bus, queue: Queue, scripts: JobScripts) -> None:
    with bus.service("svc"):
        enqueue(queue, 1)
        run = start(bus)
    assert scripts.hold_run(run.job_id, fence=run.fence) == ""
    scripts.check_run(run.job_id, fence=run.fence)
    assert scripts.hold_run(run.job_id, fence="another") == ""


def test_a_job_is_cancelled_when_it_was_held_for_as_long_as_it_may_be(bus: notify.Bus, queue: Queue, holds: HeldJobs) -> None:
    with bus.service("svc") as service:
        incarnation = service.incarnation
    job = queue.enqueue(add, max_hold_s=0.05, **PATIENT)
    patient = queue.enqueue(add, max_hold_s=100, **PATIENT)
    wait_until(lambda: holds.run() and job.outcome is not None)
    outcome = job.outcome
    assert outcome is not None
    assert outcome.why is not None
    assert (outcome.status, outcome.need, outcome.reason) == ("cancelled", "svc", "svc did not come back in time (max_hold_s)")
    assert (outcome.why.rule, outcome.why.service, outcome.why.incarnation) == ("max_hold_s", "svc", incarnation)
    assert (outcome.why.after_ms or 0) >= 50
    assert (patient.held, job.held) == ("svc", None)
    assert queue.deferred_job_registry.get_job_ids() == [patient.id]


def test_a_job_that_waits_for_its_turn_to_come_back_is_not_cancelled_for_its_time(
    bus: notify.Bus, queue: Queue, holds: HeldJobs, scripts: JobScripts
) -> None:
    """What it needs is there. If that is lost again, its time begins anew."""
    held = enqueue(queue, 20, max_hold_s=100)
    with bus.service("svc"):
        holds.run()
        for job_id in held:
            bus.redis.zincrby(bus.keys.holds, -101_000, job_id)
        holds.run()
        assert [Job.fetch(job_id, connection=bus.redis).held for job_id in held[8:]] == ["svc"] * 12
    assert scripts.expire_holds(AT_ONCE)[0] == 0
    with bus.service("svc"):
        assert sorted(release_and_take_all(bus, holds, 20)) == sorted(held)


def test_a_held_job_can_be_cancelled(bus: notify.Bus, queue: Queue, holds: HeldJobs) -> None:
    job = queue.enqueue(add, max_hold_s=100, **PATIENT)
    outcome = job.cancel("enough")
    assert outcome is not None
    assert (outcome.status, outcome.reason, job.held) == ("cancelled", "enough", None)
    assert is_clean(bus, queue)
    with bus.service("svc"):
        holds.run()
        assert (claim_next(bus).answer, job.outcome) == ("", outcome)


def test_a_job_that_is_just_being_stopped_to_be_held_can_be_cancelled(bus: notify.Bus, queue: Queue, scripts: JobScripts) -> None:
    with bus.service("svc"):
        (job_id,) = enqueue(queue, 1)
        run = start(bus)
    scripts.check_run(job_id, fence=run.fence)
    job = Job.fetch(job_id, connection=bus.redis)
    assert (job.outcome, job.get_status()) == (None, "started")
    outcome = job.cancel("enough")
    assert outcome is not None
    assert (outcome.status, outcome.reason) == ("stopped", "enough")
    assert scripts.check_run(job_id, fence=run.fence).was_stopped, "its worker knows it as its own"
    assert scripts.hold_run(job_id, fence=run.fence) == ""
    assert (job.outcome, job.held) == (outcome, None)


def test_a_held_job_that_is_gone_is_passed_over(bus: notify.Bus, queue: Queue, holds: HeldJobs) -> None:
    gone, stays = enqueue(queue, 2, max_hold_s=100)
    bus.redis.delete(Job.key_for(gone))
    bus.redis.zincrby(bus.keys.holds, -101_000, gone)
    holds.run()
    with bus.service("svc"):
        holds.run()
        assert take_all(bus) == [stays]
    assert not bus.redis.exists(bus.keys.held_pairs, bus.keys.held("work", "svc"), bus.keys.holds)


def test_a_held_job_that_is_enqueued_again_under_its_id_is_there_once(bus: notify.Bus, queue: Queue, holds: HeldJobs) -> None:
    queue.enqueue(add, job_id="one", max_hold_s=100, **PATIENT)
    queue.enqueue(add, "other", job_id="one")
    assert is_clean(bus, queue)
    assert not bus.redis.exists(bus.keys.needs("svc"))
    with bus.service("svc"):
        holds.run()
        assert take_all(bus) == ["one"]
    assert Job.fetch("one", connection=bus.redis).needs == {}


def test_a_held_job_that_is_enqueued_again_is_held_anew(bus: notify.Bus, queue: Queue, holds: HeldJobs) -> None:
    queue.enqueue(add, job_id="one", max_hold_s=100, **PATIENT)
    (between,) = enqueue(queue, 1)
    again = queue.enqueue(add, job_id="one", **PATIENT)
    assert (again.held, bus.redis.exists(bus.keys.holds)) == ("svc", 0)
    with bus.service("svc"):
        holds.run()
        assert take_all(bus) == [between, "one"]


def test_a_held_job_is_not_to_be_tried_again_it_has_not_ended(bus: notify.Bus, queue: Queue, holds: HeldJobs) -> None:
    job = queue.enqueue(add, **PATIENT)
    with bus.service("svc"):
        with pytest.raises(JobRefusedError, match="has not ended"):
            requeue(bus.redis, job.id)
        assert (job.held, queue.job_ids) == ("svc", [])
        holds.run()
        assert take_all(bus) == [job.id]


def test_a_job_whose_hold_was_over_can_be_tried_again_and_is_held_again(bus: notify.Bus, queue: Queue, holds: HeldJobs) -> None:
    job = queue.enqueue(add, max_hold_s=100, **PATIENT)
    bus.redis.zincrby(bus.keys.holds, -101_000, job.id)
    holds.run()
    assert job.outcome is not None
    assert requeue(bus.redis, job.id).held == "svc"
    assert (job.outcome, len(queue.canceled_job_registry)) == (None, 0)
    with bus.service("svc"):
        holds.run()
        assert take_all(bus) == [job.id]


def test_what_rqs_own_tools_put_back_is_not_held_any_more(bus: notify.Bus, queue: Queue, holds: HeldJobs) -> None:
    """As its command ``rq`` and its dashboards do with what is deferred."""
    job = queue.enqueue(add, max_hold_s=100, **PATIENT)
    job.set_status(job.get_status().QUEUED)
    queue.push_job_id(job.id)
    bus.redis.zincrby(bus.keys.holds, -101_000, job.id)
    holds.run()
    assert job.get_status() == "queued"
    with bus.service("svc"):
        assert claim_next(bus).job_id == job.id
        holds.run()
        assert (job.get_status(), job.held) == ("started", None)
    assert is_clean(bus, queue)


def test_an_id_that_was_left_in_the_list_costs_a_held_job_nothing(
    bus: notify.Bus, queue: Queue, holds: HeldJobs, scripts: JobScripts
) -> None:
    """A claim may meet it before the list is tidied."""
    with bus.service("svc"):
        (job_id,) = enqueue(queue, 1)
        keeper = queue.enqueue(add, needs="svc", on_loss="ignore", at_front=True)  # so that the other one is not the first
    scripts.apply_loss("svc", passed=0, count=10)
    assert queue.job_ids == [keeper.id, job_id]
    assert claim_next(bus).job_id == keeper.id
    assert claim_next(bus, fence="another").answer == ""
    assert bus.redis.zrange(bus.keys.needs("svc"), 0, -1) == [job_id.encode()]
    with bus.service("svc"):
        holds.run()
        assert queue.job_ids == [job_id]


def test_held_jobs_of_several_queues_come_back_each_on_its_own(bus: notify.Bus, holds: HeldJobs) -> None:
    queues = [Queue(name, connection=bus.redis) for name in ("one", "a:b", "ü")]
    jobs = [queue.enqueue(add, **PATIENT) for queue in queues]
    with bus.service("svc"):
        holds.run()
        assert [queue.job_ids for queue in queues] == [[job.id] for job in jobs]
    assert not bus.redis.exists(bus.keys.held_pairs)


def test_it_is_told_when_to_look_again(bus: notify.Bus, queue: Queue, holds: HeldJobs) -> None:
    assert holds.run() == IDLE_PAUSE_S
    enqueue(queue, 20)
    assert holds.run() == MAX_PAUSE_S
    with bus.service("svc"):
        assert holds.run() == MIN_PAUSE_S
        pauses = [holds.run() for _ in range(10)]
        assert pauses == sorted(pauses)
        assert (pauses[0], pauses[-1]) == (2 * MIN_PAUSE_S, MAX_PAUSE_S)
        take_all(bus)
        assert holds.run() == MIN_PAUSE_S


def test_many_who_look_after_holds_release_each_job_once(bus: notify.Bus, queue: Queue) -> None:
    held = enqueue(queue, FIRST_BATCH)
    with bus.service("svc"):
        threads = [threading.Thread(target=HeldJobs(bus.redis).run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert queue.job_ids == held


def test_no_more_than_some_hundred_jobs_come_back_in_one_step() -> None:
    assert FIRST_BATCH < LARGEST_BATCH <= 1_000


def test_what_comes_onto_the_queue_through_rqs_own_code_is_held_as_well(
    bus: notify.Bus, queue: Queue, holds: HeldJobs, start_workers: StartWorkers, effects: Effects
) -> None:
    """One that others had to end before, one in a pipeline, one whose time has come, and one that is tried again."""
    with bus.service("svc"):
        scheduled = queue.enqueue_in(timedelta(seconds=-1), add_when_svc_is_there, "scheduled")
        failing = queue.enqueue(hold_and_fail, "x", retry=rq.Retry(max=1), needs="svc", on_loss="hold", grace_s=100)
        start_workers()
        effects.wait_for("x:begun")
    dependent = queue.enqueue(add, "dependent", depends_on=queue.enqueue(add), **PATIENT)
    with bus.redis.pipeline() as pipe:
        in_pipeline = queue.enqueue(add, "in a pipeline", pipeline=pipe, **PATIENT)
        pipe.execute()
    run_scheduler(bus)
    effects.let_go("x")
    jobs = [scheduled, failing, dependent, in_pipeline]
    wait_until(lambda: all(job.held == "svc" for job in jobs), timeout_s=10)
    assert (effects["added"], effects["x:begun"]) == (1, 1)
    with bus.service("svc"):
        holds.run()
        effects.let_go("x")
        for job in jobs:
            assert job.wait(10) is not None
    assert [effects[name] for name in ("scheduled", "dependent", "in a pipeline", "x:begun")] == [1, 1, 1, 2]


def test_N7_work_can_wait_for_a_service(
    bus: notify.Bus, queue: Queue, holds: HeldJobs, start_workers: StartWorkers, effects: Effects
) -> None:
    start_workers()
    with bus.subscribe("job.work") as events:
        job = queue.enqueue(add, **PATIENT)
        assert "It is held: svc is not there. It returns to the queue as soon as svc is back." in explain(bus, job)
        assert queue.enqueue(add, "other").wait(10) == Outcome("finished")
        assert (job.outcome, effects["added"]) == (None, 0)
        with bus.service("svc"):
            holds.run()
            assert job.wait(10) == Outcome("finished")
        told: list[Any] = []
        while len(told) < 4:
            event: Any = events.get(5)
            assert event is not None, f"only {told} came"
            told += [event.contents["status"]] if event.contents["job"] == job.id else []
    assert (told, effects["added"]) == (["held", "released", "started", "finished"], 1)


def test_a_worker_takes_held_jobs_in_their_old_order_and_what_came_later_after_them(
    bus: notify.Bus, queue: Queue, holds: HeldJobs, start_workers: StartWorkers, effects: Effects
) -> None:
    held = [queue.enqueue(add, **PATIENT).id for _ in range(40)]
    start_workers()
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    with bus.subscribe("job.work") as events, bus.service("svc"):
        later, order = [queue.enqueue(add, **PATIENT).id for _ in range(40)], list[str]()
        while len(order) < 80:
            holds.run()
            event: Any = events.get(0.05)
            order += [event.contents["job"]] if event is not None and event.contents["status"] == "started" else []
    assert order == [*held, *later]


def test_a_running_job_is_killed_held_and_run_again_when_its_service_is_back(
    bus: notify.Bus, queue: Queue, holds: HeldJobs, start_workers: StartWorkers, effects: Effects
) -> None:
    start_workers()
    with bus.service("svc"):
        running, waiting = queue.enqueue(hold, "x", **PATIENT), queue.enqueue(hold, "y", **PATIENT)
        effects.wait_for("x:begun")
    wait_until(lambda: (running.held, waiting.held) == ("svc", "svc"), timeout_s=10)
    effects.let_go("x")  # for a process that would live on
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert (running.outcome, effects["x:done"]) == (None, 0)
    with bus.service("svc"):
        holds.run()
        effects.let_go("y")
        assert (running.wait(10), waiting.wait(10)) == (Outcome("finished"), Outcome("finished"))
    assert [effects[name] for name in ("x:begun", "x:done", "y:begun", "y:done")] == [2, 1, 1, 1]
