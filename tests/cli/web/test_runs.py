"""An action on very many jobs goes on beside the request, and the page shows how far it is."""

import re
import threading
import time

import pytest
from starlette.testclient import TestClient

from cli.web import Access, app, job_actions, web_app
from cli.web.runs import Run
from notify.testing import wait_until
from tests.cli.web.support import Page, text_of
from tests.support import sample_jobs
from workers import Queue, find_jobs
from workers.queue import cancel_jobs

ALL = "/action/cancel?all=1&queue=work"
COUNT = 25


@pytest.fixture
def gate(bus, monkeypatch):
    """Jobs on a queue. They are cancelled ten at a time, and each batch waits for the gate."""
    queue, gate = Queue("work", connection=bus.redis), threading.Semaphore(0)
    queue.enqueue_many([Queue.prepare_data(sample_jobs.add) for _ in range(COUNT)])

    def held_up(*arguments, **options):
        assert gate.acquire(timeout=60)
        return cancel_jobs(*arguments, **options)

    monkeypatch.setitem(job_actions.JOB_ACTIONS, "cancel", job_actions.JOB_ACTIONS["cancel"]._replace(apply=held_up))
    monkeypatch.setattr(job_actions, "AT_ONCE", 10)
    return gate


def running_of(answer):
    """Where the browser looks again, by the link and without a script."""
    path = re.search(r'data-again href="([^"]+)"', answer.text)[1].replace("&amp;", "&")
    assert answer.headers["refresh"] == f"1; url={path}"
    return path


def test_an_action_on_very_many_jobs_is_answered_at_once_with_how_far_it_is(bus, page, gate, monkeypatch):
    """Twin: without a limit of its time the request waits for all of them."""
    monkeypatch.setattr(app, "ACTION_S", 0.1)
    with bus.subscribe("ops") as ops:
        began = time.monotonic()
        path = running_of(page.act(f"{ALL}&back=/queues", reason="spring"))
        assert time.monotonic() - began < 5
        assert ops.get(5).contents["what"]["goes_on"] is True
        gate.release()
        wait_until(lambda: "10 of 25 so far" in page.text(path).replace("\u202f", ","))
        gate.release(2)
        wait_until(lambda: "25 jobs cancelled" in page.text(path))
        assert "refresh" not in page.get(path).headers
        assert 'href="/queues"' in page.get(path).text
        what = ops.get(5).contents["what"]
        assert (what["done"], what["reason"]) == (COUNT, "spring")
    assert not list(find_jobs(bus.redis, queue="work", status="queued"))

    Queue("work", connection=bus.redis).enqueue(sample_jobs.add)
    monkeypatch.setattr(app, "ACTION_S", 60)
    began = time.monotonic()
    threading.Timer(0.5, gate.release).start()
    assert "1 job cancelled" in page.act(ALL).text
    assert time.monotonic() - began >= 0.4


def test_an_error_in_the_middle_is_shown_where_the_browser_looks_again(bus, page, gate, monkeypatch):
    monkeypatch.setattr(app, "ACTION_S", 0.05)
    path = running_of(page.act(ALL))
    gate.release()
    wait_until(lambda: "10 of 25" in page.text(path))

    def refused(*_, **__):
        raise job_actions.FilterError("no more")

    monkeypatch.setattr(job_actions, "compact_queues", refused)
    gate.release(2)
    wait_until(lambda: page.get(path).status_code == 400)
    assert "no more" in page.get(path).text


def test_nobody_else_sees_it_and_an_unknown_one_is_told_of(page):
    answer = page.get("/running/nothing")
    assert answer.status_code == 404
    assert "knows no such action" in text_of(answer.text)


def test_a_page_that_ends_in_the_middle_says_how_far_it_came_and_the_rest_is_left(bus, pages, gate, monkeypatch):
    monkeypatch.setattr(app, "ACTION_S", 0.05)
    served = web_app(bus, access=Access(allow_actions=True), hosts=("localhost",))
    with bus.subscribe("ops") as ops:
        with TestClient(served, base_url="http://localhost") as client:
            before = Page(client)
            path = running_of(before.act(f"{ALL}&back=/queues"))
            gate.release()
            wait_until(lambda: "10 of 25 so far" in before.text(path))
            end = Run.end
            monkeypatch.setattr(Run, "end", lambda run: (end(run), gate.release()))
        told = [ops.get(5).contents, ops.get(5).contents]
    assert told[0]["what"]["goes_on"] is True
    assert told[1]["problem"] == (
        "the page ended in the middle: 20 of 25 were looked at, and the others are as they were; to go on, do it again"
    )
    assert len(list(find_jobs(bus.redis, queue="work", status="queued"))) == 5
    assert Queue("work", connection=bus.redis).count == 5

    after = pages()
    answer = after.get(path)
    assert answer.status_code == 404
    assert "topic ops tells how far it came" in text_of(answer.text)
    gate.release()
    monkeypatch.setattr(app, "ACTION_S", 60)
    assert "5 jobs cancelled" in after.act(ALL).text


def test_the_question_counts_for_a_second_only(page, gate, monkeypatch):
    """Twin: with time enough all are counted."""
    monkeypatch.setattr(job_actions, "PLAN_S", 0.0)
    asked = page.text(ALL)
    assert "Cancel all jobs that match," in asked
    assert "there may be more" in asked
    monkeypatch.setattr(job_actions, "PLAN_S", 60.0)
    assert f"Cancel these {COUNT} jobs?" in page.text(ALL)
