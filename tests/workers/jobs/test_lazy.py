"""A job whose hash is parsed on first use."""

import gc
from typing import Any

import pytest

import notify
from tests.support.sample_jobs import add, add_with_svc
from workers import Job, JobError, Queue
from workers.jobs.lazy import lazy_job


class OwnJob(Job):
    """A user's own job class."""


@pytest.mark.parametrize("kind", [Job, OwnJob])
def test_a_lazy_job_becomes_the_job_on_first_use(bus: notify.Bus, queue: Queue, kind: type[Job]) -> None:
    with bus.service("svc"):
        stored = queue.enqueue(add_with_svc, "x", meta={"a": 1})
    fields: Any = bus.redis.hgetall(stored.key)
    job = lazy_job(kind, stored.id, fields, connection=bus.redis, functions={str(stored.func_name): add})
    assert isinstance(job, kind)
    assert job.id == stored.id
    assert type(job) is not kind  # the id does not need the hash
    assert (job.origin, job.args, job.meta, job.needs, job.func) == ("work", ["x"], {"a": 1}, {"svc": 0}, add)
    assert type(job) is kind


def test_a_lazy_job_has_no_attribute_that_a_job_has_not(bus: notify.Bus, queue: Queue) -> None:
    stored = queue.enqueue(add)
    job = lazy_job(Job, stored.id, bus.redis.hgetall(stored.key), connection=bus.redis, functions={})
    with pytest.raises(AttributeError):
        job.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_an_unreadable_lazy_job_tells_its_problem_and_keeps_its_id(bus: notify.Bus) -> None:
    job = lazy_job(Job, "odd", {b"data": b"x", b"retries_left": b"x"}, connection=bus.redis, functions={})
    assert (job.id, job.origin) == ("odd", "")
    assert job.problem.startswith("its call cannot be read")
    with pytest.raises(JobError, match="job odd cannot be run: its call"):
        job.func_name  # noqa: B018


def test_a_job_of_many_that_nobody_read_is_one_object_for_the_garbage_collector(queue: Queue) -> None:
    calls = [Queue.prepare_data(add) for _ in range(500)]
    queue.enqueue_many(calls)  # fills the caches
    gc.collect()
    before = len(gc.get_objects())
    jobs = queue.enqueue_many(calls)
    gc.collect()
    assert len(gc.get_objects()) - before < 1.5 * len(jobs)
