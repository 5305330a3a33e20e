"""The end of a hold: cancelled, expired, deleted, or enqueued again."""

import pytest

import notify
from notify.testing import wait_until
from tests.support.held_jobs import PATIENT, enqueue, is_clean, release_and_take_all, start, take_all
from tests.support.sample_jobs import add
from tests.workers.conftest import claim_next
from workers import Job, JobRefusedError, Queue, requeue
from workers.loss.held import HeldJobs
from workers.scripts.jobs import AT_ONCE, JobScripts


def test_a_deleted_last_held_job_leaves_no_trace(bus: notify.Bus, queue: Queue, holds: HeldJobs) -> None:
    (job_id,) = enqueue(queue, 1)
    bus.redis.delete(Job.key_for(job_id))
    with bus.service("svc"):
        holds.run()
    assert bus.redis.exists(bus.keys.held_pairs, bus.keys.held("work", "svc")) == 0


def test_a_job_is_cancelled_after_max_hold_s(bus: notify.Bus, queue: Queue, holds: HeldJobs) -> None:
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


def test_a_job_waiting_for_its_batch_is_not_cancelled_after_max_hold_s(
    bus: notify.Bus, queue: Queue, holds: HeldJobs, scripts: JobScripts
) -> None:
    """Its service is there. If that is lost again, its time begins again."""
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


def test_a_job_that_is_being_stopped_to_be_held_can_be_cancelled(bus: notify.Bus, queue: Queue, scripts: JobScripts) -> None:
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


def test_a_deleted_held_job_is_skipped(bus: notify.Bus, queue: Queue, holds: HeldJobs) -> None:
    gone, stays = enqueue(queue, 2, max_hold_s=100)
    bus.redis.delete(Job.key_for(gone))
    bus.redis.zincrby(bus.keys.holds, -101_000, gone)
    holds.run()
    with bus.service("svc"):
        holds.run()
        assert take_all(bus) == [stays]
    assert not bus.redis.exists(bus.keys.held_pairs, bus.keys.held("work", "svc"), bus.keys.holds)


def test_a_held_job_enqueued_again_under_its_id_exists_once(bus: notify.Bus, queue: Queue, holds: HeldJobs) -> None:
    queue.enqueue(add, job_id="one", max_hold_s=100, **PATIENT)
    queue.enqueue(add, "other", job_id="one")
    assert is_clean(bus, queue)
    assert not bus.redis.exists(bus.keys.needs("svc"))
    with bus.service("svc"):
        holds.run()
        assert take_all(bus) == ["one"]
    assert Job.fetch("one", connection=bus.redis).needs == {}


def test_a_held_job_enqueued_again_is_held_at_its_new_place(bus: notify.Bus, queue: Queue, holds: HeldJobs) -> None:
    queue.enqueue(add, job_id="one", max_hold_s=100, **PATIENT)
    (between,) = enqueue(queue, 1)
    again = queue.enqueue(add, job_id="one", **PATIENT)
    assert (again.held, bus.redis.exists(bus.keys.holds)) == ("svc", 0)
    with bus.service("svc"):
        holds.run()
        assert take_all(bus) == [between, "one"]


def test_a_held_job_cannot_be_requeued_because_it_has_not_ended(bus: notify.Bus, queue: Queue, holds: HeldJobs) -> None:
    job = queue.enqueue(add, **PATIENT)
    with bus.service("svc"):
        with pytest.raises(JobRefusedError, match="has not ended"):
            requeue(bus.redis, job.id)
        assert (job.held, queue.job_ids) == ("svc", [])
        holds.run()
        assert take_all(bus) == [job.id]


def test_a_job_whose_hold_expired_can_be_requeued_and_is_held_again(bus: notify.Bus, queue: Queue, holds: HeldJobs) -> None:
    job = queue.enqueue(add, max_hold_s=100, **PATIENT)
    bus.redis.zincrby(bus.keys.holds, -101_000, job.id)
    holds.run()
    assert job.outcome is not None
    assert requeue(bus.redis, job.id).held == "svc"
    assert (job.outcome, len(queue.canceled_job_registry)) == (None, 0)
    with bus.service("svc"):
        holds.run()
        assert take_all(bus) == [job.id]


def test_a_held_job_requeued_by_rqs_tools_is_no_longer_held(bus: notify.Bus, queue: Queue, holds: HeldJobs) -> None:
    """As the command ``rq`` and RQ's dashboards do with deferred jobs."""
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
