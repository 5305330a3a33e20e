"""The scripts for plain jobs have the effect of the one for all jobs, whose steps they write out."""

import re
from collections.abc import Callable
from typing import Any

import pytest

import notify
from notify.server import Client, process_name
from notify.testing import PrivateServer, wait_until
from tests.support.sample_jobs import add
from tests.workers.conftest import claim_next
from workers import Job, Queue, rq_keys
from workers.scripts import FAILURE_TTL, EnqueueScripts, NewJob

NOW = b"2026-11-27T10:00:00.000000Z"
HASH = {
    **{b"created_at": NOW, b"enqueued_at": NOW, b"origin": b"work", b"timeout": b"180", b"failure_ttl": FAILURE_TTL},
    **{b"status": b"queued", b"data": b"[]", b"description": b"f()"},
}
CHANGING = (rb"\d{13}-\d+", rb"\d{16}", rb"\d{13}", rb"@?[0-9a-f]{12,14}(?=\W|$)", rb"\d{4}-\d\d-\d\dT[\d:.]+Z")
"""Ids of events, times in us and ms, epochs, and times in words."""

Enqueue = Callable[[EnqueueScripts, list[str]], object]


def new_jobs(job_ids: list[str]) -> list[NewJob]:
    return [NewJob(job_id, dict(HASH), "new") for job_id in job_ids]


def plainly(scripts: EnqueueScripts, job_ids: list[str]) -> object:
    return [scripts.enqueue("work", [new_job]) for new_job in new_jobs(job_ids)]


def at_once(scripts: EnqueueScripts, job_ids: list[str]) -> object:
    return scripts.enqueue_many("work", new_jobs(job_ids))


def generally(scripts: EnqueueScripts, job_ids: list[str]) -> object:
    return scripts._enqueue("work", new_jobs(job_ids), again="")


def everything(client: Any) -> dict[bytes, Any]:
    """All keys with their contents and whether they have a lifetime; what each run changes is replaced by #."""

    def known(value: Any) -> Any:
        if isinstance(value, bytes):
            for pattern in CHANGING:
                value = re.sub(pattern, b"#", value)
            return value
        if isinstance(value, dict):
            return {known(key): known(inner) for key, inner in value.items()}
        return [known(each) for each in value] if isinstance(value, list | tuple) else value

    readers: dict[bytes, Callable[[Any], Any]] = {
        **{b"string": client.get, b"hash": client.hgetall, b"set": lambda key: sorted(client.smembers(key))},
        **{b"list": lambda key: client.lrange(key, 0, -1), b"zset": lambda key: client.zrange(key, 0, -1), b"stream": client.xrange},
    }
    keys = sorted(key for key in client.scan_iter() if not key.endswith(b":sweep") and b":served:" not in key)  # that one lives for 50 ms
    return {re.sub(rb"(history:m:)\d+", rb"\1#", key): (known(readers[client.type(key)](key)), client.pttl(key) > 0) for key in keys}


def nothing(_: Any) -> None: ...


def others_wait(client: Any) -> None:
    client.rpush(rq_keys.queue("work"), "a", "b")
    client.sadd(rq_keys.QUEUES, rq_keys.queue("work"))


BEFORE: dict[str, Callable[[Any], object]] = {
    "nothing": nothing,
    "other jobs": others_wait,
    "a token": lambda client: client.rpush("notify:wake:work", "1"),
    "a worker that serves the queue": lambda client: client.set("notify:served:work", "w", px=5_000),
    "a log of another type": lambda client: client.set("notify:log:job.work", "spoilt"),
    "a time in the head that is none": lambda client: client.hset("notify:topic:job.work", "touched", "spoilt"),
    "an event": lambda client: plainly(EnqueueScripts(Client.of(client)), ["first"]),
}


@pytest.mark.parametrize("job_events", ["all", "none"])
@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize(("enqueue", "job_ids"), [(plainly, ["mine"]), (at_once, ["mine"]), (at_once, ["a", "b", "c"])])
def test_a_plain_job_is_enqueued_as_any_other(
    server: PrivateServer, connect_to: Callable[..., notify.Bus], enqueue: Enqueue, job_ids: list[str], before: str, job_events: str
) -> None:
    client = connect_to(server, job_events=job_events).redis
    found = []
    for way in (enqueue, generally):
        client.flushdb()
        BEFORE[before](client)
        way(EnqueueScripts(client), job_ids)
        found.append(everything(client))
    assert found[0] == found[1]
    assert {b"rq:job:" + job_id.encode() for job_id in job_ids} <= found[0].keys()


@pytest.mark.parametrize("key", ["notify:topic:job.work", "notify:topics"])
def test_spoilt_keys_of_a_topic_keep_no_plain_job_from_its_queue(bus: notify.Bus, queue: Queue, key: str) -> None:
    bus.redis.rpush(key, "spoilt")
    queue.enqueue(add)
    assert claim_next(bus).answer == "started"
    bus.redis.delete(key)


def test_a_spoilt_list_refuses_a_plain_job_and_nothing_of_it_stays(bus: notify.Bus, queue: Queue) -> None:
    bus.redis.set(rq_keys.queue("work"), "spoilt")
    with pytest.raises(notify.ServerRefusedError, match="enqueueing on 'work'"):
        queue.enqueue(add)
    assert list(bus.redis.scan_iter("rq:job:*")) == []


def one_by_one(queue: Queue) -> list[Job]:
    return [queue.enqueue(add) for _ in range(3)]


def together(queue: Queue) -> list[Job]:
    return queue.enqueue_many([Queue.prepare_data(add) for _ in range(3)])


@pytest.mark.parametrize("enqueue", [one_by_one, together])
def test_subscribers_get_the_event_of_each_plain_job(bus: notify.Bus, queue: Queue, enqueue: Callable[[Queue], list[Job]]) -> None:
    with bus.subscribe("job.work") as events:
        jobs = enqueue(queue)
        received: list[Any] = [wait_until(lambda: events.get(1)) for _ in jobs]
    assert [(event.contents["job"], event.contents["status"], event.source) for event in received] == [
        (job.id, "enqueued", process_name()) for job in jobs
    ]
