"""Bulk cancel: by a required service, or by a function."""

import random
from datetime import timedelta
from unittest.mock import patch

import pytest

import notify
from tests.support.sample_jobs import add, add_with_svc
from tests.workers.conftest import claim_next
from workers import Job, JobDefinitionError, Queue, QueueNotFoundError
from workers.queue.cancel import Progress
from workers.scripts.jobs import AT_ONCE, JobScripts


def cancelled(*jobs: Job) -> list[bool]:
    return [job.outcome is not None and job.outcome.status == "cancelled" for job in jobs]


def test_jobs_are_selected_by_a_function(queue: Queue) -> None:
    for_ann, for_bob = queue.enqueue(add, "a", meta={"for": "ann"}), queue.enqueue(add, "b", meta={"for": "bob"})
    assert queue.cancel(where=lambda job: job.meta["for"] == "bob", reason="bob left") == 1
    assert (cancelled(for_ann, for_bob), queue.job_ids) == ([False, True], [for_ann.id])
    assert for_bob.outcome is not None
    assert for_bob.outcome.reason == "bob left"
    assert for_bob.outcome.why is not None
    assert for_bob.outcome.why.rule == "asked"


def test_needs_and_where_must_both_match(bus: notify.Bus, queue: Queue) -> None:
    with bus.service("svc"):
        jobs = [queue.enqueue(add_with_svc, "a"), queue.enqueue(add_with_svc, "b"), queue.enqueue(add, "b")]
        assert queue.cancel(needs="svc", where=lambda job: job.args == ["b"]) == 1
    assert cancelled(*jobs) == [False, True, False]


def test_all_jobs_of_a_queue_can_be_cancelled(bus: notify.Bus, queue: Queue) -> None:
    first = queue.enqueue(add)
    listed, deferred = queue.enqueue(add), queue.enqueue(add, depends_on=first)
    scheduled, held = queue.enqueue_in(timedelta(hours=1), add), queue.enqueue(add, needs="svc", on_loss="hold", max_hold_s=9)
    elsewhere = Queue("elsewhere", connection=bus.redis).enqueue(add)
    assert queue.cancel(where=lambda job: True) == 5
    assert all(cancelled(first, listed, deferred, scheduled, held))
    assert not any(cancelled(elsewhere))
    registries = (queue.deferred_job_registry, queue.scheduled_job_registry)
    assert (queue.job_ids, [registry.get_job_ids() for registry in registries], held.held) == ([], [[], []], None)
    assert not bus.redis.exists(bus.keys.held_pairs, bus.keys.holds)


def test_a_cancel_without_a_selection_is_refused(queue: Queue) -> None:
    job = queue.enqueue(add)
    with pytest.raises(
        JobDefinitionError, match="cannot cancel jobs of 'work' without a selection: give needs= or where=; where=lambda job: True"
    ):
        queue.cancel()
    assert not any(cancelled(job))


def test_a_queue_that_nothing_was_ever_put_on_is_an_error(bus: notify.Bus) -> None:
    with pytest.raises(QueueNotFoundError, match=r"no queue 'wrok' at unix://.*no job was ever put on it; check its name"):
        Queue("wrok", connection=bus.redis).cancel(where=lambda job: True)


def test_a_need_that_names_nothing_is_an_error(queue: Queue) -> None:
    queue.enqueue(add)
    with pytest.raises(JobDefinitionError, match="needs"):
        queue.cancel(needs="two words")


def test_a_capability_selects_the_jobs_that_need_it_and_no_others(bus: notify.Bus, queue: Queue) -> None:
    with bus.service("svc", provides={"print"}):
        any_will_do, only_svc = queue.enqueue(add, needs=notify.provides("print")), queue.enqueue(add_with_svc)
        assert queue.cancel(needs=notify.provides("print")) == 1
    assert cancelled(any_will_do, only_svc) == [True, False]


def test_held_jobs_that_need_a_service_are_cancelled_too(bus: notify.Bus, queue: Queue) -> None:
    job = queue.enqueue(add, needs="svc", on_loss="hold")
    assert queue.cancel(needs="svc") == 1
    assert cancelled(job) == [True]
    assert not bus.redis.exists(bus.keys.held_pairs)


def test_a_running_job_is_not_cancelled(bus: notify.Bus, queue: Queue) -> None:
    with bus.service("svc"):
        running, waiting = queue.enqueue(add_with_svc), queue.enqueue(add_with_svc)
        assert claim_next(bus).job_id == running.id
        assert queue.cancel(needs="svc") == 1
        assert queue.cancel(where=lambda job: True) == 0
    assert cancelled(running, waiting) == [False, True]


def test_the_progress_of_a_cancel_is_reported(bus: notify.Bus, queue: Queue) -> None:
    reports: list[Progress] = []
    with bus.service("svc"):
        queue.enqueue_many([Queue.prepare_data(add_with_svc, job_id=f"j{number}") for number in range(2 * AT_ONCE + 50)])
        assert queue.cancel(where=lambda job: int(job.id[1:]) % 2 == 0, progress=reports.append) == AT_ONCE + 25
    everything = 2 * AT_ONCE + 50
    assert reports == [
        Progress(AT_ONCE, everything, AT_ONCE // 2),
        Progress(2 * AT_ONCE, everything, AT_ONCE),
        Progress(everything, everything, AT_ONCE + 25),
    ]
    assert [int(job_id[1:]) % 2 for job_id in queue.job_ids] == [1] * (AT_ONCE + 25)


def test_jobs_taken_meanwhile_do_not_hide_others_from_the_cancel(bus: notify.Bus, queue: Queue) -> None:
    """After each chunk a worker takes some jobs from the front."""
    count = 3 * AT_ONCE
    queue.enqueue_many([Queue.prepare_data(add) for _ in range(count)])
    taken: list[str] = []

    def take_some(_: Progress) -> None:
        taken.extend(claim_next(bus, fence=f"f{len(taken)}-{number}").job_id for number in range(3))

    done = queue.cancel(where=lambda job: True, progress=take_some)
    assert (done + len([job_id for job_id in taken if job_id]), queue.count) == (count, 0)


def test_an_error_of_where_propagates_and_cancelled_jobs_stay_cancelled(bus: notify.Bus, queue: Queue) -> None:
    jobs = queue.enqueue_many([Queue.prepare_data(add, job_id=f"j{number}") for number in range(2 * AT_ONCE + 1)])

    def fail_at_the_last(job: Job) -> bool:
        if job.id == jobs[-1].id:
            raise KeyError("nothing of the kind")
        return True

    with pytest.raises(KeyError, match="nothing of the kind"):
        queue.cancel(where=fail_at_the_last)
    assert sum(cancelled(*jobs)) == 2 * AT_ONCE
    assert [claim_next(bus).answer for _ in range(2)] == ["more", "started"]


def test_an_unreadable_job_is_skipped_where_its_call_is_asked_for(bus: notify.Bus, queue: Queue) -> None:
    job = queue.enqueue(add)
    bus.redis.hset("rq:job:odd", mapping={"status": "queued", "origin": "work", "created_at": "never"})
    bus.redis.rpush(queue.key, "odd", "gone")
    assert queue.cancel(where=lambda job: job.args == []) == 1
    assert cancelled(job) == [True]
    assert queue.cancel(where=lambda job: True) == 1
    assert bus.redis.hget("rq:job:odd", "status") == b"canceled"


def test_ids_of_cancelled_jobs_leave_the_list_without_a_claim(bus: notify.Bus, queue: Queue) -> None:
    keeps = queue.enqueue(add, "keeps")
    queue.enqueue_many([Queue.prepare_data(add, ["goes"]) for _ in range(300)])
    assert queue.cancel(where=lambda job: job.args == ["goes"]) == 300
    assert queue.job_ids == [keeps.id]


def test_without_compaction_the_ids_stay_in_the_list(bus: notify.Bus, queue: Queue) -> None:
    """The counter-example."""
    job = queue.enqueue(add)
    JobScripts(bus.redis).cancel([job.id], reason="why", from_list=False)
    assert queue.job_ids == [job.id]
    assert claim_next(bus).answer == ""


def test_a_job_requeued_right_after_its_cancel_runs_once(bus: notify.Bus, queue: Queue) -> None:
    """The list may hold its id twice until it is compacted."""
    job = queue.enqueue(add)
    JobScripts(bus.redis).cancel([job.id], reason="why", from_list=False)
    queue.put_back(job)
    assert [claim_next(bus, fence=fence).answer for fence in ("one", "two")] == ["started", ""]


@pytest.mark.parametrize("seed", range(5))
def test_compaction_in_parts_keeps_the_order_of_those_that_wait(bus: notify.Bus, queue: Queue, seed: int) -> None:
    """Each part is taken out from the nearer end of the list."""
    jobs = queue.enqueue_many([Queue.prepare_data(add, job_id=f"j{number}") for number in range(40)])
    chosen = set(random.Random(seed).sample([job.id for job in jobs], 15))
    scripts = JobScripts(bus.redis)
    scripts.cancel(sorted(chosen), reason="no more", from_list=False)
    with patch("workers.scripts.jobs.COMPACT_AT_ONCE", 7):
        scripts.compact_queue("work")
    assert queue.job_ids == [job.id for job in jobs if job.id not in chosen]
