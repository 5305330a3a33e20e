"""RQ's own ways of creating and enqueueing jobs: the same rules and errors as ours."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis
from rq.exceptions import InvalidJobOperation

import notify
from notify.testing import PrivateServer
from tests.support.sample_jobs import add, add_with_anything, add_with_svc
from tests.workers.conftest import claim_next
from workers import Job, JobDefinitionError, JobNotFoundError, JobRefusedError, Queue, Stake, find_jobs, preview_loss, requeue

HOUR = timedelta(hours=1)


def test_a_scheduled_call_may_replace_the_needs_of_its_definition(queue: Queue) -> None:
    job = queue.enqueue_in(HOUR, add_with_anything, "x", needs="svc", on_loss="hold", max_hold_s=5, grace_s=2)
    kept = Job.fetch(job.id, connection=queue.connection)
    assert (kept.kwargs, list(kept.needs), kept.on_loss) == ({}, ["svc"], "hold")
    assert (kept.requirements.max_hold_s, kept.requirements.grace_s) == (5, 2)


def test_a_scheduled_job_can_go_to_the_front(queue: Queue) -> None:
    jobs = [queue.enqueue_in(HOUR, add, at_front=True), queue.enqueue_in(HOUR, add)]
    assert [job.enqueue_at_front for job in jobs] == [True, None]


@pytest.mark.parametrize("options", [{"job_timeout": 0}, {"ttl": -1}, {"job_id": "a b"}, {"needs": 3}, {"on_loss": "vanish"}])
def test_an_invalid_scheduled_job_is_refused(queue: Queue, options: dict[str, Any]) -> None:
    with pytest.raises(JobDefinitionError):
        queue.enqueue_in(HOUR, add, **options)
    assert queue.scheduled_job_registry.count == 0


@pytest.mark.parametrize("put_off", ["scheduled", "deferred"])
def test_scheduled_and_dependent_jobs_are_in_the_index_of_their_needs(bus: notify.Bus, queue: Queue, put_off: str) -> None:
    first = queue.enqueue(add)
    with bus.service("svc"):
        job = queue.enqueue_in(HOUR, add_with_svc) if put_off == "scheduled" else queue.enqueue(add_with_svc, depends_on=first)
        assert (job.get_status(), preview_loss(bus.redis, "svc")) == (put_off, [Stake("work", "cancel", 1, 0)])
        assert list(find_jobs(bus.redis, needs="svc")) == [job]
        assert queue.cancel(needs="svc") == 1
    assert (job.get_status(), bus.redis.exists(bus.keys.needs("svc"))) == ("canceled", 0)


def test_a_dependent_job_is_indexed_once_and_leaves_the_index_when_it_starts(bus: notify.Bus, queue: Queue) -> None:
    with bus.service("svc"):
        job = queue.enqueue(add_with_svc, depends_on="nobody")
        assert bus.redis.zrange(bus.keys.needs("svc"), 0, -1) == [job.id.encode()]
        assert claim_next(bus).job_id == job.id
        assert bus.redis.exists(bus.keys.needs("svc")) == 0


def test_enqueue_many_indexes_the_needs_of_dependent_calls(bus: notify.Bus, queue: Queue) -> None:
    first = queue.enqueue(add)
    with bus.service("svc"):
        jobs = queue.enqueue_many([Queue.prepare_data(add_with_svc, depends_on=first)] * 3)
        assert queue.cancel(needs="svc") == 3
    assert {job.get_status() for job in jobs} == {"canceled"}


@pytest.mark.parametrize("timeout_s", [-2, 0, 2**31])
@pytest.mark.parametrize(
    "enqueue",
    [
        lambda queue, timeout_s: queue.enqueue(add, job_timeout=timeout_s),
        lambda queue, timeout_s: queue.enqueue_in(HOUR, add, job_timeout=timeout_s),
        lambda queue, timeout_s: queue.enqueue_call(add, timeout=timeout_s),
    ],
)
def test_an_invalid_timeout_is_refused(queue: Queue, enqueue: Callable[[Queue, int], Any], timeout_s: int) -> None:
    with pytest.raises(JobDefinitionError, match="timeout"):
        enqueue(queue, timeout_s)
    assert queue.is_empty()


@pytest.mark.parametrize("option", [{"ttl": -1}, {"job_id": "a b"}, {"timeout": -2}])
def test_enqueue_many_refuses_all_calls_if_one_is_invalid(queue: Queue, option: dict[str, Any]) -> None:
    with pytest.raises(JobDefinitionError):
        queue.enqueue_many([Queue.prepare_data(add), Queue.prepare_data(add, **option)])
    assert queue.is_empty()


@pytest.mark.parametrize("name", ["", 3, None])
def test_a_queue_without_a_name_is_refused(bus: notify.Bus, name: Any) -> None:
    with pytest.raises(JobDefinitionError, match="name of a queue"):
        Queue(name, connection=bus.redis)


@pytest.mark.parametrize("needs", [["a", "b"], [], 3, "", "any "])
def test_a_cancel_or_a_preview_of_an_invalid_need_is_refused(bus: notify.Bus, queue: Queue, needs: Any) -> None:
    queue.enqueue(add)
    for ask in (
        lambda: queue.cancel(needs=needs),
        lambda: preview_loss(bus.redis, needs),
        lambda: list(find_jobs(bus.redis, needs=needs)),
    ):
        with pytest.raises(JobDefinitionError, match="names no service"):
            ask()


@pytest.mark.parametrize("job_id", ["a b", "a/b", "ü", "", "nobody"])
def test_an_unknown_or_impossible_id_is_not_found(bus: notify.Bus, job_id: str) -> None:
    for ask in (lambda: Job.fetch(job_id, connection=bus.redis), lambda: requeue(bus.redis, job_id)):
        with pytest.raises(JobNotFoundError):
            ask()


def test_a_job_that_did_not_fail_is_not_enqueued_again_by_its_own_method(queue: Queue) -> None:
    job = queue.enqueue(add)
    job.cancel()
    with pytest.raises(JobRefusedError, match="did not fail") as refused:
        job.requeue()
    assert isinstance(refused.value, InvalidJobOperation)


def test_an_unreachable_server_is_our_error_in_every_method(own_server: PrivateServer) -> None:
    with notify.connect(own_server.url) as bus:
        queue = Queue("work", connection=redis.Redis.from_url(own_server.url))
        assert bus.redis.ping()
        job = queue.enqueue(add)
        own_server.close()
        for ask in (
            lambda: job.get_status(),
            lambda: job.return_value(),
            lambda: queue.enqueue(add),
            lambda: queue.enqueue_call(add),
            lambda: queue.enqueue_in(HOUR, add),
            lambda: queue.enqueue_in(HOUR, add_with_svc),
            lambda: queue.enqueue(add, depends_on="other"),
            lambda: queue.enqueue_many([Queue.prepare_data(add)]),
            lambda: queue.enqueue_many([Queue.prepare_data(add, depends_on="other")]),
        ):
            with pytest.raises(notify.ServerError):
                ask()


def test_a_claim_names_its_own_queue_although_another_name_ends_like_it(bus: notify.Bus) -> None:
    queue, other = (Queue(name, connection=bus.redis) for name in ("b", "a:b"))
    job = queue.enqueue(add)
    names = (queue.name, other.name)
    claims = [claim_next(bus, *names, again=again) for again in (False, True)]
    assert [(claim.job_id, claim.queue) for claim in claims] == [(job.id, 0)] * 2
