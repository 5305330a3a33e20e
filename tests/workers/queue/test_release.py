"""Jobs that wait outside of their queue are put on it by hand, unless they have begun or ended by then."""

from datetime import timedelta

from tests.support import sample_jobs
from workers import Queue
from workers.queue import release_jobs


def test_scheduled_deferred_and_held_jobs_go_onto_their_queue(bus):
    queue = Queue("work", connection=bus.redis)
    later = queue.enqueue_in(timedelta(hours=1), sample_jobs.add, "later")
    first = queue.enqueue(sample_jobs.add, "first")
    second = queue.enqueue(sample_jobs.add, "second", depends_on=first)
    held = queue.enqueue(sample_jobs.add_when_svc_is_there, "held")
    with bus.service("svc"):
        result = release_jobs(bus.redis, [later.id, second.id, held.id, first.id, "nope"])
        assert (result.done, result.held, result.unchanged) == (3, 0, 2)
        assert queue.job_ids == [first.id, later.id, second.id, held.id]
    assert held.held is None
    assert queue.scheduled_job_registry.count == queue.deferred_job_registry.count == 0


def test_a_held_job_whose_service_is_still_away_is_held_again(bus):
    held = Queue("work", connection=bus.redis).enqueue(sample_jobs.add_when_svc_is_there, "held")
    result = release_jobs(bus.redis, [held.id])
    assert (result.done, result.held) == (1, 1)
    assert held.held == "svc"


def test_a_job_that_has_ended_by_then_is_left_alone(bus):
    queue = Queue("work", connection=bus.redis)
    later = queue.enqueue_in(timedelta(hours=1), sample_jobs.add, "later")
    later.cancel()
    assert release_jobs(bus.redis, [later.id]).unchanged == 1
    assert later.get_status().value == "canceled"
