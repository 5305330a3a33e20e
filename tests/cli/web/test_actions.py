"""Each action is told first, then done, and then published with who did what."""

import re
from datetime import timedelta
from html import unescape

import pytest
from rq import SimpleWorker

from tests.cli.web.support import text_of
from tests.support import sample_jobs
from tests.support.cron_jobs import at_four
from workers import Queue, job
from workers.queue import paused_queues
from workers.schedule import register_cron

AT_FOUR = "tests.support.cron_jobs.at_four"


@job("work")
def ruin():
    raise ZeroDivisionError


@pytest.fixture
def ops(bus):
    with bus.subscribe("ops") as subscriber:
        yield subscriber


@pytest.fixture
def queue(bus):
    return Queue("work", connection=bus.redis)


def test_all_that_match_are_changed_after_a_count(bus, page, queue, ops):
    jobs = [queue.enqueue(sample_jobs.add, "x") for _ in range(30)]
    other = Queue("other", connection=bus.redis).enqueue(sample_jobs.add, "x")
    asked = text_of(page.get("/action/cancel?all=1&queue=work").text)
    assert "Cancel these 30 jobs?" in asked
    assert "work queued 30" in asked
    assert {job.get_status().value for job in jobs} == {"queued"}
    assert "30 jobs cancelled" in page.act("/action/cancel?all=1&queue=work", reason="spring").text
    assert {job.get_status().value for job in jobs} == {"canceled"}
    assert other.get_status().value == "queued"
    told = ops.get(5).contents
    assert (told["action"], told["who"], told["what"]["done"], told["what"]["reason"]) == ("cancel", "testclient", 30, "spring")
    assert told["what"]["queue"] == "work"
    assert "30 jobs requeued" in page.act("/action/requeue?all=1&queue=work").text
    assert queue.count == 30


def test_a_job_that_has_just_ended_is_left_alone(page, queue, ops):
    job = queue.enqueue(sample_jobs.add, "x")
    path = f"/action/cancel?id={job.id}"
    csrf = page.get(path).text.split('name="csrf" value="')[-1].split('"')[0]
    job.cancel("first")
    answer = page.client.post(path, data={"csrf": csrf})
    assert "Only jobs with status queued, held" in text_of(answer.text)
    assert job.outcome.reason == "first"
    assert "No job can be cancelled" in page.text(path)
    assert ops.get(5).contents["what"]["done"] == 0


def test_scheduled_jobs_are_released_and_ended_ones_deleted(bus, page, queue):
    later = queue.enqueue_in(timedelta(hours=1), sample_jobs.add, "x")
    assert "1 job released" in page.act(f"/action/release?id={later.id}").text
    assert queue.job_ids == [later.id]
    later.cancel()
    assert "1 job deleted" in page.act(f"/action/delete?id={later.id}&back=/jobs").text
    assert not bus.redis.exists(later.key)


def test_an_action_that_fails_as_nobody_expected_is_told_too(page, queue, ops, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("cli.web.acting.apply_to_jobs", fail)
    job = queue.enqueue(sample_jobs.add, "1")
    with pytest.raises(ZeroDivisionError):
        page.act(f"/action/cancel?id={job.id}")
    told = ops.get(5).contents
    assert (told["action"], told["who"], told["problem"]) == ("cancel", "testclient", "ZeroDivisionError")


def test_a_job_that_was_cancelled_goes_back_to_its_queue_from_its_own_view(page, queue):
    job = queue.enqueue(sample_jobs.add, "1")
    job.cancel()
    html = page.get(f"/job/{job.id}").text
    path = unescape(next(part for part in html.split('href="') if part.startswith("/action/requeue")).split('"')[0])
    assert "1 job requeued" in page.act(path).text
    assert job.get_status().value == "queued"


def test_a_queue_is_paused_resumed_and_emptied(bus, page, queue, ops):
    job = queue.enqueue(sample_jobs.add, "x")
    page.act("/action/pause?queue=work")
    assert paused_queues(bus.redis) == ["work"]
    assert "paused" in page.text("/queues")
    assert "Queue work is paused, and 1 job waits on it for" in page.text("/")
    page.act("/action/resume?queue=work")
    assert paused_queues(bus.redis) == []
    page.act("/action/cancel?all=1&queue=work&status=queued")
    assert job.get_status().value == "canceled"
    assert [ops.get(5).contents["action"] for _ in range(3)] == ["pause", "resume", "cancel"]
    assert page.get("/action/pause?queue=work").status_code == 200


def test_a_worker_is_told_to_end_after_the_question(bus, page, queue, ops):
    worker = SimpleWorker([queue], connection=bus.redis, name="w1")
    worker.register_birth()
    try:
        job = queue.enqueue(sample_jobs.add)
        bus.redis.hset(worker.key, mapping={"state": "busy", "current_job": job.id, "memory_kib": 51_200})
        assert re.search(r"w1 busy tests.support.sample_jobs.add work 50 MiB", page.text("/workers?queue=work"))
        assert "w1" not in page.text("/workers?queue=other")
        asked = page.text("/action/stop?worker=w1")
        assert f"It finishes job {job.id} first." in asked
        told = text_of(page.act("/action/stop?worker=w1").text)
        assert "Worker w1 did not hear it" in told
        assert "does not listen just now" in told  # it was born, and does not work yet
    finally:
        worker.register_death()
    contents = ops.get(5).contents
    assert (contents["action"], contents["what"]["worker"], contents["what"]["hears"]) == ("stop", "w1", False)
    assert page.get("/action/stop?worker=w1").status_code == 404


def test_all_failed_jobs_of_a_function_are_retried_and_the_others_stay(bus, page, queue):
    jobs = [queue.enqueue(sample_jobs.fail) for _ in range(3)]
    other = queue.enqueue(ruin)
    worker = SimpleWorker([queue], connection=bus.redis)
    worker.subscribe = lambda: None  # RQ's thread for commands may outlive the worker by a long time
    worker.work(burst=True)
    assert other.get_status(refresh=True).value == "failed"
    assert "Retry these 3 jobs?" in page.text("/action/retry?all=1&queue=work&function=*.fail")
    assert "3 jobs retried" in page.act("/action/retry?all=1&queue=work&function=*.fail").text
    assert {job.get_status(refresh=True).value for job in jobs} == {"queued"}
    assert other.get_status(refresh=True).value == "failed"


def test_a_service_is_killed_after_its_loss_is_told(bus, page, queue, ops):
    with bus.service("svc"):
        queue.enqueue(sample_jobs.add_when_svc_is_there, "x")
        asked = page.text("/action/kill?name=svc")
        assert "These jobs need it:" in asked
        assert "work hold 1 0" in asked
        page.act("/action/kill?name=svc", reason="drill")
        assert bus.directory.lookup("svc", overdue=True, default=None) is None
    assert ops.get(5).contents["what"]["reason"] == "drill"


def test_a_recurring_job_runs_now_pauses_and_goes_on(bus, page, queue):
    register_cron(bus.redis, "w", {AT_FOUR: at_four})
    page.act(f"/action/run?cron={AT_FOUR}")
    assert queue.count == 1
    page.act(f"/action/cron-pause?cron={AT_FOUR}")
    assert "paused" in page.text("/cron")
    page.act(f"/action/cron-resume?cron={AT_FOUR}")
    assert "Resume" not in page.text("/cron")


def test_an_event_is_published_and_what_fails_is_told_too(bus, page, ops):
    with bus.subscribe("prices") as prices:
        page.act("/action/publish?topic=prices", contents='{"sku": "A-1"}')
        assert prices.get(5).contents == {"sku": "A-1"}
    assert ops.get(5).contents["action"] == "publish"
    answer = page.act("/action/publish?topic=prices", contents=" ")
    assert answer.status_code == 400
    assert "there are no contents" in ops.get(5).contents["problem"]
