"""The page in a real browser: each view, what changes by itself, actions, the login, forged names, and a phone."""

from collections.abc import Iterator

import pytest

from cli.web import Access
from cli.web.access import read_tokens
from tests.cli.web.support import PATHS
from tests.support import sample_jobs
from tests.support.browser import Browser, browsing, missing
from tests.support.web_page import served
from workers import Queue
from workers.storage import store

pytestmark = [pytest.mark.any_server, pytest.mark.skipif(bool(missing()), reason=missing())]

TOKEN = "a-token-for-the-browser-1"


TOO_WIDE = """
return [...document.querySelectorAll("main *, header *")]
  .filter((each) => each.scrollWidth > each.clientWidth + 1 && ["auto", "scroll"].includes(getComputedStyle(each).overflowX))
  .filter((each) => !each.querySelector("svg.graph")).map((each) => each.outerHTML.slice(0, 200));
"""
"""What scrolls sideways."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsing("") as running:
        yield running


@pytest.fixture
def browser(bus, chromium: Browser) -> Iterator[Browser]:
    """A browser on a page on which everybody may act."""
    chromium.resize(1280, 900)
    with served(bus) as chromium.url:
        yield chromium
        chromium.driver.get("about:blank")


def test_each_view_shows_itself_without_a_complaint_and_fits_a_phone(bus, browser):
    job = Queue("default", connection=bus.redis).enqueue(sample_jobs.add_when_svc_is_there, "1")
    bus.publish("prices", 1)
    with bus.service("lab", provides={"heat"}):
        for path in (*PATHS, f"/job/{job.id}", "/service/lab", "/topic/prices"):
            browser.resize(390, 844)
            browser.open(path)
            browser.wait(lambda: browser.run("return document.readyState") == "complete", "the page")
            assert browser.find("h1").text
            assert browser.run("return document.documentElement.scrollWidth") <= 390, path
            assert browser.run(TOO_WIDE) == [], path  # a drawing may scroll, and nothing else has to be looked for
    assert browser.errors() == []


def test_a_new_job_appears_without_a_click_and_what_is_marked_stays_marked(bus, browser):
    queue = Queue("default", connection=bus.redis)
    first = queue.enqueue(sample_jobs.add, "1")
    browser.open("/jobs?status=queued")
    browser.click(f"input[value='{first.id}']")
    second = queue.enqueue(sample_jobs.add, "2")
    browser.wait(lambda: browser.all(f"input[value='{second.id}']"), "the second job")
    assert browser.run("return document.querySelector(arguments[0]).checked", f"input[value='{first.id}']")
    assert not browser.run("return document.querySelector(arguments[0]).checked", f"input[value='{second.id}']")


def test_all_that_match_are_cancelled_after_a_count(bus, browser):
    queue = Queue("default", connection=bus.redis)
    jobs = [queue.enqueue(sample_jobs.add, f"match{number}") for number in range(60)]
    other = queue.enqueue(sample_jobs.add, "other")
    events = bus.subscribe("ops")
    browser.open("/jobs?status=queued&text=match")
    browser.click("a[data-action][href*='/action/cancel']")
    browser.wait(lambda: "Cancel these 60 jobs?" in browser.text("dialog"), "the question")
    browser.run("document.querySelector('dialog input[name=reason]').value = 'by hand'")
    browser.click("dialog button.danger")
    browser.wait(lambda: "60 jobs cancelled" in browser.text("dialog"), "the end")
    assert {job.get_status().value for job in jobs} == {"canceled"}
    assert other.get_status().value == "queued"
    assert jobs[0].outcome.reason == "by hand"
    told = events.get(5).contents
    assert (told["action"], told["what"]["done"], told["by"]) == ("cancel", 60, "web")
    browser.click("dialog [data-close]")
    browser.wait(lambda: "No job matches" in browser.text(), "the empty list")


def test_marked_jobs_only_are_deleted(bus, browser):
    queue = Queue("default", connection=bus.redis)
    jobs = [queue.enqueue(sample_jobs.add, str(number)) for number in range(3)]
    for job in jobs:
        job.cancel()
    browser.open("/jobs?status=canceled")
    for job in jobs[:2]:
        browser.click(f"input[value='{job.id}']")
    browser.click("#marked button[formaction$='/action/delete']")
    browser.wait(lambda: "Delete these 2 jobs?" in browser.text("dialog"), "the question")
    browser.click("dialog button.danger")
    browser.wait(lambda: "2 jobs deleted" in browser.text("dialog"), "the end")
    assert [bus.redis.exists(f"rq:job:{job.id}") for job in jobs] == [0, 0, 1]


def test_a_token_opens_the_page_and_the_way_out_closes_it(bus, chromium):
    access = Access(allow_actions=True, tokens=read_tokens([f"act olga {TOKEN}"], source="test"))
    with served(bus, access) as chromium.url:
        chromium.open("/jobs")
        assert "Log in" in chromium.text()
        chromium.find("input[name=token]").send_keys(TOKEN)
        chromium.click("main button")
        chromium.wait(lambda: chromium.text("h1") == "Jobs", "the jobs")
        assert TOKEN not in chromium.driver.current_url
        assert chromium.run("return document.cookie") == ""
        chromium.click("header form button")
        chromium.wait(lambda: "Log in" in chromium.text(), "the login")
        chromium.open("/queues")
        assert "Log in" in chromium.text()
        chromium.driver.get("about:blank")


def test_a_forged_name_is_text_in_every_view_and_runs_nothing(bus, browser):
    evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    job = Queue(evil.replace(" ", ""), connection=bus.redis).enqueue(store, evil, 1)
    bus.publish("prices", evil)
    for path in (*PATHS, f"/job/{job.id}", "/topic/prices"):
        browser.open(path)
        browser.wait(lambda: browser.run("return document.readyState") == "complete", "the page")
        assert browser.all("main img, main script") == []
        assert "owned" not in browser.driver.title
    assert "onerror" in browser.text()


def test_events_run_down_the_page_as_they_come(bus, browser):
    browser.open("/topic/prices")
    # The stream may be open a little later than the page.
    browser.wait(lambda: bus.publish("prices", {"sku": "A-1044"}) and "A-1044" in browser.text("[data-tail]"), "the event")


def test_the_keyboard_reaches_the_content_first_and_sees_where_it_is(browser):
    browser.open("/")
    browser.find("body").send_keys("\ue004")  # the tabulator
    assert browser.run("return document.activeElement.className") == "skip"
    assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
