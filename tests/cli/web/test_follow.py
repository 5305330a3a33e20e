"""In a real browser: what follows a topic goes on while the page changes around it, and so does a long action."""

import threading
from collections.abc import Iterator

import msgspec
import pytest

from cli.web import Access, Viewer, app, job_actions
from tests.support import sample_jobs
from tests.support.browser import Browser, browsing, missing
from tests.support.web_page import served
from workers import Queue
from workers.queue import cancel_jobs

pytestmark = [pytest.mark.any_server, pytest.mark.skipif(bool(missing()), reason=missing())]

BY_PLACE = """
window.morphChildren = (old, after) => {
  const before = [...old.childNodes];
  after.forEach((node, place) => (before[place] ? morph(before[place], node) : old.append(node)));
  before.slice(after.length).forEach((node) => node.remove());
};
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsing("") as running:
        yield running


@pytest.fixture
def browser(bus, chromium: Browser) -> Iterator[Browser]:
    with served(bus) as chromium.url:
        yield chromium
        chromium.driver.get("about:blank")


@pytest.mark.parametrize("by_place", [False, True])
def test_the_log_of_a_job_goes_on_when_something_appears_above_it(bus, browser, by_place):
    """Twin: when parts are matched by their place, the list that follows the log is another one afterwards."""
    job = Queue("default", connection=bus.redis).enqueue(sample_jobs.add, "1")
    browser.open(f"/job/{job.id}")
    if by_place:
        browser.run(BY_PLACE)
    browser.run("document.getElementById('job-log').isFirst = true")
    progress = {"fence": "f", "done": 1, "total": 2, "message": "half", "at_ms": 1}
    bus.redis.hset(job.key, mapping={"status": "started", "fence": "f", "progress": msgspec.json.encode(progress)})
    bus.publish("job.default", {"job": job.id, "status": "progress"})
    browser.wait(lambda: browser.all("#j-progress"), "the progress")
    assert bool(browser.run("return document.getElementById('job-log').isFirst")) == (not by_place)
    bus.publish(f"job_log.{job.id}", {"level": "INFO", "message": "loaded all"})
    browser.wait(lambda: "loaded all" in browser.text("#job-log"), "the line")
    assert browser.text("#job-log").count("loaded all") == 1


def test_a_long_action_shows_how_far_it_is_until_it_has_ended(bus, browser, monkeypatch):
    queue, gate = Queue("work", connection=bus.redis), threading.Semaphore(0)
    queue.enqueue_many([Queue.prepare_data(sample_jobs.add) for _ in range(15)])

    def held_up(*arguments, **options):
        assert gate.acquire(timeout=60)
        return cancel_jobs(*arguments, **options)

    monkeypatch.setitem(job_actions.JOB_ACTIONS, "cancel", job_actions.JOB_ACTIONS["cancel"]._replace(apply=held_up))
    monkeypatch.setattr(job_actions, "AT_ONCE", 10)
    monkeypatch.setattr(app, "ACTION_S", 0.05)
    browser.open("/jobs?queue=work")
    browser.click("a[data-action][href*='/action/cancel']")
    browser.wait(lambda: "Cancel these 15 jobs?" in browser.text("dialog"), "the question")
    browser.click("dialog button.danger")
    browser.wait(lambda: "it goes on" in browser.text("dialog"), "the first answer")
    gate.release()
    browser.wait(lambda: "10 of 15 so far" in browser.text("dialog"), "the first batch")
    gate.release()
    browser.wait(lambda: "15 jobs cancelled" in browser.text("dialog"), "the end")
    assert browser.errors() == []


def test_a_page_that_ends_while_an_action_goes_on_is_told_in_the_dialogue(bus, browser, monkeypatch):
    queue, gate = Queue("work", connection=bus.redis), threading.Event()
    queue.enqueue_many([Queue.prepare_data(sample_jobs.add) for _ in range(3)])

    def held_up(*arguments, **options):
        assert gate.wait(60)
        return cancel_jobs(*arguments, **options)

    monkeypatch.setitem(job_actions.JOB_ACTIONS, "cancel", job_actions.JOB_ACTIONS["cancel"]._replace(apply=held_up))
    monkeypatch.setattr(app, "ACTION_S", 0.05)
    browser.open("/jobs?queue=work")
    browser.click("a[data-action][href*='/action/cancel']")
    browser.wait(lambda: "Cancel these 3 jobs?" in browser.text("dialog"), "the question")
    browser.click("dialog button.danger")
    browser.wait(lambda: "it goes on" in browser.text("dialog"), "the first answer")
    browser.run("window.asked = window.fetch; window.fetch = () => Promise.reject(new TypeError('the page is away'))")
    browser.wait(lambda: "The page does not answer. It is asked again" in browser.text("dialog"), "the words")
    gate.set()
    browser.run("window.fetch = window.asked")
    browser.wait(lambda: "3 jobs cancelled" in browser.text("dialog"), "the end")


def test_an_action_that_was_not_answered_is_not_shown_as_done(bus, browser):
    job = Queue("work", connection=bus.redis).enqueue(sample_jobs.add)
    browser.open(f"/job/{job.id}")
    browser.click("a[data-action][href*='/action/cancel']")
    browser.wait(lambda: "Cancel job" in browser.text("dialog"), "the question")
    browser.run("window.fetch = () => Promise.reject(new TypeError('the page is away'))")
    browser.click("dialog button.danger")
    browser.wait(lambda: "Topic ops tells whether this was done" in browser.text("dialog"), "the words")


LATE = """
window.asked = window.fetch;
window.fetch = () => new Promise((done) => {
  const text = async () => { setTimeout(() => { window.came = true; }); return "<main id=main>Pause queue first?</main>"; };
  window.answer = () => done({ text });
});
"""
"""What is fetched is answered when the test says so."""


def test_an_answer_that_comes_late_takes_the_place_of_no_other_question(bus, browser):
    """Somebody would say yes to what they did not ask for."""
    for name in ("first", "second"):
        Queue(name, connection=bus.redis).enqueue(sample_jobs.add)
    browser.open("/queues")
    browser.run(LATE)
    browser.click("a[data-action][href*='pause?queue=first']")
    browser.run("window.fetch = window.asked")
    browser.click("a[data-action][href*='pause?queue=second']")
    browser.wait(lambda: "Pause queue second?" in browser.text("dialog"), "the question")
    browser.run("window.answer()")
    browser.wait(lambda: browser.run("return window.came"), "the late answer")
    assert "Pause queue second?" in browser.text("dialog")


def test_who_may_look_no_longer_is_told_so(bus, chromium):
    known = [Viewer("olga")]
    with served(bus, Access.of(lambda _: known[0])) as chromium.url:
        chromium.open("/queues")
        chromium.wait(lambda: chromium.text("#live") == "updates live", "the page")
        known[0] = None
        Queue("work", connection=bus.redis).enqueue(sample_jobs.add)
        chromium.wait(lambda: "you may look no longer" in chromium.text("#state"), "the words", timeout_s=30)
        assert chromium.text("#live") == "does not update"
        known[0] = Viewer("olga")
        chromium.wait(lambda: chromium.text("#live") == "updates live", "the page again")
        chromium.driver.get("about:blank")
        assert all("403 (Forbidden)" in error for error in chromium.errors())


def test_events_that_may_be_missing_are_told_and_those_after_them_come(bus, chromium):
    known = [Viewer("olga")]
    with served(bus, Access.of(lambda _: known[0])) as chromium.url:
        chromium.open("/topic/prices")
        chromium.wait(lambda: bus.publish("prices", "before") and "before" in chromium.text("[data-tail]"), "the first event")
        known[0] = None
        chromium.wait(
            lambda: bus.publish("prices", "between") and "events may be missing here" in chromium.text("[data-tail]"), "the words"
        )
        known[0] = Viewer("olga")
        chromium.wait(lambda: bus.publish("prices", "after") and "after" in chromium.text("[data-tail]"), "the next event")
        shown = chromium.text("[data-tail]")
        assert shown.index("before") < shown.index("may be missing") < shown.index("after")
        assert "between" not in shown
        assert shown.count("may be missing") == 1
        chromium.driver.get("about:blank")
        assert all("403 (Forbidden)" in error for error in chromium.errors())
