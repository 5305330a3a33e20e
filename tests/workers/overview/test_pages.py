"""Pages of jobs follow each other whatever changes meanwhile, and what a page reads is bounded."""

import math
from base64 import urlsafe_b64encode
from datetime import timedelta

import pytest

from tests.support import sample_jobs
from workers import JobDefinitionError, Queue, rq_keys
from workers.overview import JobFilter, page_of_jobs, pages
from workers.queue import cancel_jobs


def walk(bus, chosen=None, size=7):
    """All jobs, page by page."""
    found, after = [], None
    while True:
        page = page_of_jobs(bus.redis, chosen, after=after, size=size)
        found += [listed.job.id for listed in page.jobs]
        if page.next is None:
            return found
        after = page.next


def test_pages_hold_every_job_once_whatever_its_status(bus):
    queues = [Queue(name, connection=bus.redis) for name in ("a", "b")]
    made = {queue.enqueue(sample_jobs.add, str(number)).id for queue in queues for number in range(20)}
    made |= {queue.enqueue_in(timedelta(hours=1), sample_jobs.add, "x").id for queue in queues for _ in range(5)}
    cancelled = [queue.enqueue(sample_jobs.add, "c").id for queue in queues for _ in range(5)]
    cancel_jobs(bus.redis, cancelled)
    found = walk(bus)
    assert len(found) == len(set(found))
    assert set(found) == made | set(cancelled)
    assert set(walk(bus, JobFilter(status="canceled"))) == set(cancelled)
    assert len(walk(bus, JobFilter(queue="a", status="queued"))) == 20


def test_jobs_that_come_and_go_between_pages_shift_nothing(bus):
    queue = Queue("a", connection=bus.redis)
    made = [queue.enqueue(sample_jobs.add, str(number)).id for number in range(30)]
    page = page_of_jobs(bus.redis, JobFilter(status="queued"), size=10)
    queue.enqueue(sample_jobs.add, "newer")
    bus.redis.lpop("rq:queue:a", 5)
    following = page_of_jobs(bus.redis, JobFilter(status="queued"), after=page.next, size=10)
    assert [listed.job.id for listed in following.jobs] == made[10:20][::-1]
    assert not following.moved


@pytest.mark.parametrize("status", ["queued", "canceled"])
def test_a_cursor_whose_job_is_gone_goes_on_near_its_place(bus, status):
    queue = Queue("a", connection=bus.redis)
    made = [queue.enqueue(sample_jobs.add, str(number)).id for number in range(10)]
    if status == "canceled":
        cancel_jobs(bus.redis, made)
    page = page_of_jobs(bus.redis, JobFilter(status=status), size=5)
    last = page.jobs[-1].job.id
    key = "rq:queue:a" if status == "queued" else "rq:canceled:a"
    bus.redis.lrem(key, 1, last) if status == "queued" else bus.redis.zrem(key, last)
    following = page_of_jobs(bus.redis, JobFilter(status=status), after=page.next, size=50)
    assert following.moved
    assert not {listed.job.id for listed in following.jobs} & {last}
    assert len(following.jobs) >= 4


def test_a_page_of_rare_jobs_is_short_and_goes_on_behind_what_was_read(bus, monkeypatch):
    monkeypatch.setattr(pages, "LOOKED_AT", 40)
    queue = Queue("a", connection=bus.redis)
    rare = [queue.enqueue(sample_jobs.add, f"rare{number}" if number % 50 == 0 else "usual").id for number in range(200)][::50]
    page = page_of_jobs(bus.redis, JobFilter(text="RARE"))
    assert (page.jobs, page.looked_at, page.of) == ([], 40, 200)
    assert walk(bus, JobFilter(text="rare")) == rare[::-1]


@pytest.mark.parametrize("chosen", [JobFilter(text="ZWÖLF"), JobFilter(reason="zwölf")])
def test_a_page_ends_when_its_time_is_over_and_the_next_goes_on(bus, monkeypatch, chosen):
    """Twin: with time enough one page reads them all."""
    queue = Queue("a", connection=bus.redis)
    names = ["zwölf" if number % 100 == 0 else "übrig" for number in range(400)]
    made = queue.enqueue_many([Queue.prepare_data(sample_jobs.add, (name,)) for name in names])
    cancel_jobs(bus.redis, [job.id for job in made[::100]], reason="zwölf")
    monkeypatch.setattr(pages, "LOOKED_S", 60)
    whole = page_of_jobs(bus.redis, chosen, size=500)
    assert (whole.looked_at, whole.next) == (whole.of, None)
    monkeypatch.setattr(pages, "LOOKED_S", 0)
    first = page_of_jobs(bus.redis, chosen, size=500)
    assert first.looked_at == pages.CHUNK
    assert first.next is not None
    assert set(walk(bus, chosen)) == {listed.job.id for listed in whole.jobs} == {job.id for job in made[::100]}


def test_jobs_that_are_kept_for_ever_follow_each_other_too(bus):
    """Redis has them at infinity. If the job of a cursor is gone, nothing says which of them came behind it: all are shown again."""
    queue = Queue("a", connection=bus.redis)
    made = queue.enqueue_many([Queue.prepare_data(sample_jobs.add) for _ in range(12)])
    with bus.redis.pipeline() as pipe:
        pipe.delete(queue.key)
        for job in made:
            pipe.hset(job.key, "status", "finished")
            pipe.zadd(rq_keys.finished("a"), {job.id: math.inf})
        pipe.expire(rq_keys.finished("a"), 60)
        pipe.execute()
    wanted = JobFilter(status="finished")
    shown = walk(bus, wanted)
    assert (len(shown), set(shown)) == (12, {job.id for job in made})
    first = page_of_jobs(bus.redis, wanted, size=5)
    bus.redis.zrem(rq_keys.finished("a"), first.jobs[-1].job.id)
    following = page_of_jobs(bus.redis, wanted, after=first.next, size=20)
    assert (following.moved, len(following.jobs)) == (True, 11)


def test_what_is_no_cursor_is_refused(bus):
    Queue("a", connection=bus.redis).enqueue(sample_jobs.add, "x")
    huge = urlsafe_b64encode(b'["rq:queue:default","x",1e300]').decode()
    for cursor in ("zzz", "W10", "é", "bnVsbA", huge):
        with pytest.raises(JobDefinitionError, match="is not the cursor of a page"):
            page_of_jobs(bus.redis, after=cursor)
    foreign = "WyJvdGhlcjprZXkiLCJ4IiwwLjBd"  # a key that is none of these
    assert page_of_jobs(bus.redis, after=foreign).moved


def test_a_page_costs_the_same_commands_however_many_jobs_there_are(bus):
    queue = Queue("a", connection=bus.redis)

    def commands(most):
        queue.enqueue_many([Queue.prepare_data(sample_jobs.add, (str(number),)) for number in range(most)])
        before = bus.redis.info("stats")["total_commands_processed"]
        page_of_jobs(bus.redis, JobFilter(status="queued"))
        return bus.redis.info("stats")["total_commands_processed"] - before

    few, many = commands(100), commands(3_000)
    assert many <= few + 2
    assert many < 100


def test_the_reason_of_a_failed_and_of_a_cancelled_job_stands_beside_it(bus):
    job = Queue("a", connection=bus.redis).enqueue(sample_jobs.add, "x")
    job.cancel("nobody wants it")
    page = page_of_jobs(bus.redis, JobFilter(reason="NOBODY"))
    assert [listed.reason for listed in page.jobs] == ["nobody wants it"]
    assert not page_of_jobs(bus.redis, JobFilter(reason="everybody")).jobs
