"""The way onto a queue: once, however often the answer is lost."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
import redis
import rq
from redis.backoff import NoBackoff
from redis.retry import Retry

import notify
from notify.testing import PrivateServer
from tests.support.proxy import Proxy
from tests.support.sample_jobs import add, add_with_svc
from tests.workers.conftest import claim_next
from workers import DuplicateJobError, Job, JobRefusedError, Queue
from workers.scripts.enqueue import AT_ONCE, BYTES_AT_ONCE, EnqueueScripts, NewJob
from workers.scripts.jobs import JobScripts


@pytest.fixture
def far(proxy: Proxy, bus: notify.Bus) -> Any:
    """The queue as one sees it whose answers may be lost on their way."""
    with notify.connect(proxy.url, name="far") as far_bus:
        queue = Queue("work", connection=far_bus.redis)
        queue.enqueue(add, job_id="warm")  # the script is loaded, and RQ has noted the queue
        bus.redis.delete(queue.key, Job.key_for("warm"))
        yield queue


def entry(job_id: str, **fields: Any) -> NewJob:
    return NewJob(job_id, {"status": "queued", "origin": "work", "enqueued_at": "now", **fields})


def test_an_enqueue_whose_answer_was_lost_puts_one_job_there(proxy: Proxy, far: Queue, queue: Queue) -> None:
    """Experiment 9."""
    proxy.lose_answers(1)
    job = far.enqueue(add)
    assert (proxy.lost, queue.job_ids, job.get_status()) == (1, [job.id], "queued")


def test_plain_rq_puts_a_job_there_twice_when_the_answer_was_lost(proxy: Proxy, bus: notify.Bus) -> None:
    """Experiment 9, without our script: a connection that tries again, as redis-py's does by default."""
    retry: Any = Retry(NoBackoff(), 3)
    with redis.Redis.from_url(proxy.url, retry=retry, retry_on_error=[redis.ConnectionError]) as client:
        plain = rq.Queue("plain", connection=client, serializer="json")
        proxy.lose_answers(1, command=b"RPUSH")
        job = plain.enqueue("tests.support.sample_jobs.add")
        assert (proxy.lost, plain.job_ids) == (1, [job.id, job.id])


@pytest.mark.parametrize(("again", "runs"), [("", 2), ("again", 1)])
def test_a_job_that_began_before_a_repeated_call_runs_once(bus: notify.Bus, queue: Queue, again: str, runs: int) -> None:
    """And twice, if the call does not say that it is repeated (the twin)."""
    entrance, begun = EnqueueScripts(bus.redis), 0
    for how in ("", again):
        entrance._enqueue("work", [entry("j")], again=how)
        begun += claim_next(bus, fence=f"run {begun}").answer == "started"
    assert begun == runs


def test_an_enqueue_whose_answer_is_lost_twice_is_an_error_and_the_job_is_there_once(proxy: Proxy, far: Queue, queue: Queue) -> None:
    proxy.lose_answers(2)
    with pytest.raises(notify.ServerUnreachableError, match="enqueueing on 'work'"):
        far.enqueue(add, job_id="one")
    assert (proxy.lost, queue.job_ids) == (2, ["one"])


@pytest.mark.parametrize("count", [2, AT_ONCE, 5 * AT_ONCE + 3])
def test_many_jobs_whose_answers_were_lost_are_there_once_and_in_their_order(proxy: Proxy, far: Queue, queue: Queue, count: int) -> None:
    """Further scripts are under way when the first answer is lost."""
    calls = [Queue.prepare_data(add, [f"{number}"]) for number in range(count)]
    proxy.lose_answers(1)
    jobs = far.enqueue_many(calls)
    assert (proxy.lost, queue.job_ids) == (1, [job.id for job in jobs])
    assert [job.args[0] for job in queue.get_jobs()] == [f"{number}" for number in range(count)]


def test_large_jobs_go_in_parts_by_size_and_are_there_once_after_a_lost_answer(proxy: Proxy, far: Queue, queue: Queue) -> None:
    calls = [Queue.prepare_data(add, [f"{number}" + "x" * (BYTES_AT_ONCE // 5)]) for number in range(13)]
    proxy.lose_answers(1)
    with patch.object(EnqueueScripts, "_enqueue", autospec=True, side_effect=EnqueueScripts._enqueue) as again:
        jobs = far.enqueue_many(calls)
    assert (proxy.lost, queue.job_ids) == (1, [job.id for job in jobs])
    assert [len(call.args[2]) for call in again.call_args_list] == [5, 5, 3]


def test_many_jobs_are_there_once_when_the_server_forgets_the_script_in_between(bus: notify.Bus, queue: Queue) -> None:
    with patch.object(EnqueueScripts, "digest", return_value="0" * 40):
        jobs = queue.enqueue_many([Queue.prepare_data(add) for _ in range(3 * AT_ONCE)])
    assert queue.job_ids == [job.id for job in jobs]


@pytest.mark.parametrize(("on_loss", "status"), [("cancel", "canceled"), ("hold", "deferred"), ("ignore", "queued")])
def test_a_repeated_call_gets_the_first_answer(
    proxy: Proxy, far: Queue, bus: notify.Bus, collect: Callable[..., Any], on_loss: Any, status: str
) -> None:
    with bus.service("svc"):
        pass
    with bus.subscribe("job.work") as events:
        proxy.lose_answers(1)
        job = far.enqueue(add_with_svc, on_loss=on_loss)
        assert (proxy.lost, len(collect(events, 1))) == (1, 1)
    assert job.get_status(refresh=False) == job.get_status() == status
    assert job.needs == Job.fetch(job.id, connection=bus.redis).needs
    assert job.needs["svc"] > 0


def test_a_unique_job_is_not_refused_as_its_own_duplicate(proxy: Proxy, far: Queue, queue: Queue) -> None:
    proxy.lose_answers(1)
    far.enqueue(add, job_id="one", unique=True)
    assert (proxy.lost, queue.job_ids) == (1, ["one"])
    proxy.lose_answers(1)
    with pytest.raises(DuplicateJobError, match="'one'"):
        far.enqueue(add, job_id="one", unique=True)


def test_a_requeue_whose_answer_was_lost_is_not_refused_since_the_job_waits(
    proxy: Proxy, far: Queue, bus: notify.Bus, queue: Queue
) -> None:
    job = far.enqueue(add_with_svc)
    with bus.service("svc"):
        proxy.lose_answers(1)
        far.put_back(job)
        assert (proxy.lost, queue.job_ids) == (1, [job.id])
        with pytest.raises(JobRefusedError, match="has not ended"):
            far.put_back(job)


@pytest.mark.parametrize("moment", ["taken", "ended", "cancelled"])
def test_a_repeated_call_leaves_a_job_that_went_on_alone(bus: notify.Bus, queue: Queue, moment: str) -> None:
    """The first answer was lost, and the job was cancelled, ended or taken before the call was repeated."""
    entrance = EnqueueScripts(bus.redis)
    entrance.enqueue("work", [entry("j")])
    if moment == "cancelled":
        JobScripts(bus.redis).cancel(["j"], reason="soon")
    else:
        run = claim_next(bus).run
        if moment == "ended":
            JobScripts(bus.redis).stop_run(run.job_id, reason="soon")
    before: Any = bus.redis.hgetall(Job.key_for("j"))
    (taken,) = entrance._enqueue("work", [entry("j")], again="again")
    assert taken.status == ("cancelled" if moment == "cancelled" else "queued")
    assert (bus.redis.hgetall(Job.key_for("j")), queue.job_ids) == (before, [])


def test_a_repeated_call_enqueues_a_job_that_the_first_did_not(bus: notify.Bus, queue: Queue) -> None:
    """The first call never arrived; or the hash belongs to another job of that id."""
    entrance = EnqueueScripts(bus.redis)
    for enqueued_at in ("now", "later"):
        (taken,) = entrance._enqueue("work", [entry("j", enqueued_at=enqueued_at)], again="again")
        assert taken.status == "queued"
        assert claim_next(bus, fence=enqueued_at).job_id == "j"


def test_turns_never_repeat_and_jobs_at_the_front_come_before_all(bus: notify.Bus, queue: Queue) -> None:
    entrance = EnqueueScripts(bus.redis)
    entrance.enqueue("work", [entry(f"j{number}") for number in range(50)])
    entrance.enqueue("work", [entry("first")._replace(at_front=True)])
    entrance.enqueue("work", [entry("very first")._replace(at_front=True)])
    turns = [int(bus.redis.hget(Job.key_for(job_id), "turn") or 0) for job_id in queue.job_ids]
    assert queue.job_ids[:2] == ["very first", "first"]
    assert turns == sorted(set(turns))


def test_a_job_of_an_id_that_was_used_before_inherits_nothing(bus: notify.Bus, queue: Queue) -> None:
    queue.enqueue(add_with_svc, job_id="one", grace_s=5)
    again = queue.enqueue(add, job_id="one")
    found = Job.fetch("one", connection=bus.redis)
    assert (again.outcome, found.needs, found.on_loss, found.requirements.grace_s, found.held) == (None, {}, "cancel", 0.0, None)
    assert (queue.canceled_job_registry.get_job_ids(), queue.deferred_job_registry.get_job_ids()) == ([], [])
    assert claim_next(bus).job_id == "one"


@pytest.mark.parametrize("on_loss", ["cancel", "hold"])
def test_an_id_whose_job_lost_a_need_gets_one_place_at_the_end(bus: notify.Bus, queue: Queue, on_loss: str) -> None:
    """The lost job stays in the list behind another one until the list is compacted; its id can be enqueued again before that."""
    scripts = JobScripts(bus.redis)
    with bus.service("svc"):
        queue.enqueue(add, job_id="first")
        queue.enqueue(add_with_svc, job_id="j", on_loss=on_loss)
    scripts.apply_loss("svc", passed=0, count=10)
    queue.enqueue(add, job_id="last")
    assert queue.job_ids == ["first", "j", "last"]
    queue.enqueue(add, job_id="j")
    assert queue.job_ids == ["first", "last", "j"]


@pytest.mark.parametrize("ttl_s", [None, 50])
def test_a_job_lives_as_long_as_it_may_wait(bus: notify.Bus, queue: Queue, ttl_s: int | None) -> None:
    queue.enqueue(add, job_id="one", ttl=5)
    queue.enqueue(add, job_id="one", ttl=ttl_s)
    assert bus.redis.ttl(Job.key_for("one")) == (ttl_s or -1)


def test_a_refusal_by_the_server_is_our_error_and_nothing_is_enqueued(own_server: PrivateServer) -> None:
    with notify.connect(own_server.url) as bus:
        bus.redis.set("rq:queue:work", "no list", px=60_000)
        with pytest.raises(notify.ServerRefusedError, match="enqueueing on 'work'"):
            Queue("work", connection=bus.redis).enqueue(add, job_id="one")
