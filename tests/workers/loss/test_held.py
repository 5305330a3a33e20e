"""Held jobs: they return to the queue in their old order and in growing batches."""

import threading
from typing import Any

import pytest

import notify
from notify.testing import wait_until
from tests.support.held_jobs import PATIENT, enqueue, is_clean, release_and_take_all, start, take_all
from tests.support.sample_jobs import add
from tests.workers.conftest import claim_next
from workers import Job, Queue, rq_keys
from workers.loss.held import FIRST_BATCH, IDLE_PAUSE_S, LARGEST_BATCH, MAX_PAUSE_S, MIN_PAUSE_S, HeldJobs
from workers.scripts.jobs import JobScripts


def test_held_jobs_come_back_in_their_old_order_before_later_jobs(bus: notify.Bus, queue: Queue, scripts: JobScripts) -> None:
    held = enqueue(queue, 30)
    first_of_all = queue.enqueue(add, at_front=True, **PATIENT).id
    taken, later, urgent = [], [], ""
    with bus.service("svc"):
        for number in range(6):
            if number < 3:
                later += enqueue(queue, 1)
            scripts.release_held("work", "svc", first=FIRST_BATCH, most=LARGEST_BATCH)
            taken += take_all(bus)  # the worker is faster than the releases
        assert taken == [first_of_all, *held, *later]
        urgent = queue.enqueue(add, at_front=True, **PATIENT).id
        assert queue.job_ids == [urgent]
    assert is_clean(bus, queue)


def test_queue_and_service_names_with_colons_are_not_mixed_up(bus: notify.Bus, holds: HeldJobs) -> None:
    pairs = [("a", "b:c"), ("a:b", "c"), ("a%3Ab", "c"), ("a:b:", "c"), ("a:b", ":c")]
    jobs = [Queue(name, connection=bus.redis).enqueue(add, needs=need, on_loss="hold") for name, need in pairs]
    assert [bus.redis.zrange(bus.keys.held(*pair), 0, -1) for pair in pairs] == [[job.id.encode()] for job in jobs]
    for _, need in pairs:
        with bus.service(need):
            holds.run()
    assert [(job.get_status(), job.held) for job in jobs] == [("queued", None)] * len(jobs)
    assert not bus.redis.exists(bus.keys.held_pairs)


def test_only_jobs_that_may_be_held_wait_behind_held_jobs(bus: notify.Bus, queue: Queue) -> None:
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


def test_held_jobs_keep_their_order_over_many_losses(bus: notify.Bus, queue: Queue, holds: HeldJobs, scripts: JobScripts) -> None:
    held = enqueue(queue, 12)
    for number in range(3):
        with bus.service("svc"):
            holds.run()
            assert queue.job_ids[:FIRST_BATCH] == held[:FIRST_BATCH]
            held += enqueue(queue, 1)  # behind the released jobs, before the held ones
        scripts.apply_loss("svc", passed=0, count=100)
        scripts.compact_queue("work")
        assert queue.job_ids == [], f"at loss {number}"
    with bus.service("svc"):
        assert release_and_take_all(bus, holds, 15) == held


def test_batches_double_and_wait_for_the_last_job_of_the_one_before(bus: notify.Bus, queue: Queue, scripts: JobScripts) -> None:
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


def test_without_batches_all_jobs_come_back_at_once(bus: notify.Bus, queue: Queue, scripts: JobScripts) -> None:
    """The counter-example: one batch of unlimited size."""
    enqueue(queue, 60)
    with bus.service("svc"):
        assert scripts.release_held("work", "svc", first=1_000, most=1_000).released == 60


def test_a_batch_is_never_larger_than_the_limit(bus: notify.Bus, queue: Queue, scripts: JobScripts) -> None:
    enqueue(queue, 20)
    released = []
    with bus.service("svc"):
        for _ in range(4):
            released.append(scripts.release_held("work", "svc", first=2, most=5).released)
            take_all(bus)
    assert released == [2, 4, 5, 5]


def test_another_loss_starts_again_with_a_small_batch(bus: notify.Bus, queue: Queue, scripts: JobScripts) -> None:
    """A service that went down under its load does not get twice that load at once."""
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


def test_a_second_loss_holds_the_jobs_that_did_not_start_yet(bus: notify.Bus, queue: Queue, holds: HeldJobs, scripts: JobScripts) -> None:
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


def test_a_held_job_that_ran_is_in_the_index_and_has_no_run(bus: notify.Bus, queue: Queue, scripts: JobScripts) -> None:
    with bus.service("svc"):
        enqueue(queue, 1)
        run = start(bus)
        assert bus.redis.zcard(bus.keys.needs("svc")) == 0
    scripts.check_run(run.job_id, fence=run.fence)
    scripts.hold_run(run.job_id, fence=run.fence)
    assert bus.redis.zrange(bus.keys.needs("svc"), 0, -1) == [run.job_id.encode()]
    runs = (rq_keys.execution(f"{run.job_id}:{run.fence}"), rq_keys.executions(run.job_id), rq_keys.started("work"))
    assert bus.redis.exists(*runs) == 0


def test_lost_jobs_at_the_front_of_a_queue_leave_its_list_at_once(bus: notify.Bus, queue: Queue, scripts: JobScripts) -> None:
    with bus.service("svc"):
        enqueue(queue, 3)
        keeper = queue.enqueue(add)
    assert scripts.apply_loss("svc", passed=0, count=10).queues == []
    assert queue.job_ids == [keeper.id]


def test_a_run_that_was_not_stopped_for_a_loss_is_not_held(bus: notify.Bus, queue: Queue, scripts: JobScripts) -> None:
    with bus.service("svc"):
        enqueue(queue, 1)
        run = start(bus)
    assert scripts.hold_run(run.job_id, fence=run.fence) == ""
    scripts.check_run(run.job_id, fence=run.fence)
    assert scripts.hold_run(run.job_id, fence="another") == ""


def test_an_id_left_in_the_list_does_not_lose_a_held_job(bus: notify.Bus, queue: Queue, holds: HeldJobs, scripts: JobScripts) -> None:
    """A claim may find the id before the list is compacted."""
    with bus.service("svc"):
        (job_id,) = enqueue(queue, 1)
        keeper = queue.enqueue(add, needs="svc", on_loss="ignore", at_front=True)  # so that the lost job is not the first
    scripts.apply_loss("svc", passed=0, count=10)
    assert queue.job_ids == [keeper.id, job_id]
    assert claim_next(bus).job_id == keeper.id
    assert claim_next(bus, fence="another").answer == ""
    assert bus.redis.zrange(bus.keys.needs("svc"), 0, -1) == [job_id.encode()]
    with bus.service("svc"):
        holds.run()
        assert queue.job_ids == [job_id]


def test_held_jobs_of_several_queues_come_back_to_their_queues(bus: notify.Bus, holds: HeldJobs) -> None:
    queues = [Queue(name, connection=bus.redis) for name in ("one", "a:b", "ü")]
    jobs = [queue.enqueue(add, **PATIENT) for queue in queues]
    with bus.service("svc"):
        holds.run()
        assert [queue.job_ids for queue in queues] == [[job.id] for job in jobs]
    assert not bus.redis.exists(bus.keys.held_pairs)


def test_the_pause_between_calls_adapts_to_the_work(bus: notify.Bus, queue: Queue, holds: HeldJobs) -> None:
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


def test_concurrent_calls_release_each_job_once(bus: notify.Bus, queue: Queue) -> None:
    held = enqueue(queue, FIRST_BATCH)
    with bus.service("svc"):
        threads = [threading.Thread(target=HeldJobs(bus.redis).run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert queue.job_ids == held


def test_a_step_releases_at_most_a_few_hundred_jobs() -> None:
    assert FIRST_BATCH < LARGEST_BATCH <= 1_000
