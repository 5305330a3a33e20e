"""Views change while somebody looks, and a hundred who look cost what one costs."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlsplit

import pytest

import notify
from cli.web import Access, Viewer, live
from cli.web.feed import Feed, Tail
from cli.web.live import Hub, Snapshot
from notify.testing import PrivateServer, wait_until
from tests.support import sample_jobs
from tests.support.web_page import served
from workers import Queue


@contextmanager
def stream(url: str, path: str) -> Iterator[HTTPResponse]:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=15)
    try:
        connection.request("GET", path)
        yield connection.getresponse()
    finally:
        connection.close()


def next_event(answer: HTTPResponse) -> tuple[str, str]:
    """The next server-sent event: its kind, and its data."""
    kind = ""
    while line := answer.readline().decode().rstrip("\n"):
        if line.startswith("event: "):
            kind = line[7:]
        elif line.startswith("data: "):
            answer.readline()
            return kind, line[6:]
        if line.startswith((":", "retry")):
            answer.readline()
    raise AssertionError("the stream ended")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(live, "REFRESH_S", 0.05)


def test_a_change_reaches_who_looks_without_being_asked_for(bus):
    with served(bus) as url, stream(url, "/live/jobs?status=queued") as answer:
        kind, data = next_event(answer)
        assert kind == "update"
        assert "No job matches" in json.loads(data)["html"]
        job = Queue("default", connection=bus.redis).enqueue(sample_jobs.add, "1")
        assert job.id in json.loads(next_event(answer)[1])["html"]


def test_ten_viewers_share_one_subscription_and_what_is_made(bus, server):
    def subscriptions():
        return [row for row in bus.redis.client_list(_type="pubsub") if "event" in row["name"]]

    before = len(subscriptions())
    with served(bus) as url, ExitStack() as stack:
        answers = [stack.enter_context(stream(url, "/live/queues")) for _ in range(10)]
        assert {next_event(answer)[0] for answer in answers} == {"update"}
        wait_until(lambda: len(subscriptions()) == before + 1, what="one subscription")
        Queue("default", connection=bus.redis).enqueue(sample_jobs.add, "1")
        shown = {next_event(answer)[1] for answer in answers}
        assert len(shown) == 1


def test_a_view_is_made_once_for_all_and_not_again_without_a_change(bus):
    made = []

    async def look() -> None:
        hub = Hub(Feed(bus))
        viewers = [hub.follow("key", lambda: made.append(1) or Snapshot.of(f"{len(made)}", "t")) for _ in range(100)]
        for viewer in viewers:
            await anext(viewer)
        updates = await asyncio.gather(*(anext(viewer) for viewer in viewers))
        assert len(set(updates)) == 1
        await asyncio.sleep(0.3)  # this is what is measured: nothing is made in this time
        for viewer in viewers:
            await viewer.aclose()

    asyncio.run(look())
    assert made == [1]


def test_the_twin_without_sharing_makes_it_for_each(bus):
    made = []

    async def look() -> None:
        for _ in range(5):
            await Hub(Feed(bus)).snapshot("key", lambda: made.append(1) or Snapshot.of("x", "t"))

    asyncio.run(look())
    assert len(made) == 5


def test_a_page_says_that_the_server_is_away_and_comes_back_by_itself(own_server: PrivateServer, connect_to):
    bus = connect_to(own_server, command_timeout_s=0.5, connect_timeout_s=0.5)
    with served(bus) as url, stream(url, "/live/queues") as answer:
        assert next_event(answer)[0] == "update"
        own_server.kill()
        bus_is_away = [next_event(answer)]
        while bus_is_away[-1][0] != "away":
            bus_is_away.append(next_event(answer))
        with stream(url, "/jobs") as whole:
            assert whole.status == 503
            assert whole.headers["refresh"] == "3"
            assert "Redis is away" in whole.read().decode()
        own_server.restart()
        assert next_event(answer)[0] == "update"


def test_who_begins_to_follow_while_the_server_is_away_gets_the_events_after_it(own_server: PrivateServer, connect_to):
    bus = connect_to(own_server, command_timeout_s=0.5, connect_timeout_s=0.5)
    with served(bus) as url:
        own_server.kill()
        with stream(url, "/tail?topic=prices") as answer:
            assert answer.readline() == b"retry: 2000\n"
            told = answer.readline() + answer.readline() + answer.readline()
            assert b"gap: events are lost (Redis was away)" in told, told
            own_server.restart()
            other = connect_to(own_server)
            wait_until(lambda: other.redis.pubsub_numpat(), timeout_s=20, what="the subscription")
            other.publish("prices", "A-1")
            shown = answer.readline() + answer.readline()
            while b"A-1" not in shown:
                shown = answer.readline()
                assert shown


def test_events_of_a_topic_are_followed_with_a_filter(bus):
    with served(bus) as url, stream(url, "/tail?topic=pri*&contents=A-1") as answer:
        wait_until(lambda: bus.redis.pubsub_numpat(), timeout_s=20, what="the subscription")
        bus.publish("prices", {"sku": "B-2"})
        bus.publish("other", {"sku": "A-1"})
        bus.publish("prices", {"sku": "A-1", "evil": "<b>\x1b"})
        kind, data = next_event(answer)
        assert kind == "events"
        assert "A-1" in data
        assert "B-2" not in data
        assert "<b>" not in data
        assert "\x1b" not in data


@pytest.mark.parametrize("path", ["/live/jobs", "/tail"])
def test_a_stream_ends_when_who_asked_may_look_no_longer(bus, path):
    known = [Viewer("olga")]
    with served(bus, Access.of(lambda _: known[0])) as url, stream(url, path) as answer:
        assert answer.readline() == b"retry: 2000\n"
        known[0] = None
        wait_until(lambda: bus.redis.pubsub_numpat(), timeout_s=20, what="the subscription")
        bus.publish("prices", 1)
        job = Queue("default", connection=bus.redis).enqueue(sample_jobs.add, "1")
        shown = answer.read().decode()
        assert "prices" not in shown
        assert job.id not in shown


def test_a_viewer_that_is_too_slow_loses_old_events_and_is_told_how_many():
    tail = Tail("*")
    for number in range(1_000):
        tail.offer(notify.Event(topic="t", contents=number))
    items, left_out = tail.take()
    assert left_out == 700
    assert [item.contents for item in items][-1] == 999
    assert tail.take() == ([], 0)


def test_the_subscription_ends_when_nobody_looks_any_more(bus, monkeypatch):
    monkeypatch.setattr("cli.web.feed.LINGERS_S", 0.1)
    monkeypatch.setattr("cli.web.feed.WAIT_S", 0.05)
    feed = Feed(bus)
    feed.attach()
    wait_until(lambda: bus.redis.pubsub_numpat() == 1, timeout_s=20, what="the subscription")
    bus.publish("t", 1)
    wait_until(lambda: feed.changes == 1, what="the event")
    feed.detach()
    wait_until(lambda: bus.redis.pubsub_numpat() == 0, what="the end of it")
    feed.attach()
    wait_until(lambda: bus.redis.pubsub_numpat() == 1, timeout_s=20, what="the subscription")
    feed.detach()


@pytest.mark.parametrize("path", ["/", "/jobs?status=queued", "/queues", "/services", "/workers"])
def test_a_view_costs_the_same_commands_with_many_jobs(bus, pages, path, monkeypatch):
    monkeypatch.setattr(live, "REFRESH_S", 0.0)  # else the second look shows what the first one made
    page = pages()
    queue = Queue("default", connection=bus.redis)

    def commands(most: int) -> int:
        queue.enqueue_many([Queue.prepare_data(sample_jobs.add, (str(number),)) for number in range(most)])
        page.get(path)
        before = bus.redis.info("stats")["total_commands_processed"]
        page.get(path)
        return int(bus.redis.info("stats")["total_commands_processed"]) - before

    few, many = commands(200), commands(3_000)
    assert many <= few + 15
    assert many < 400


def test_a_page_of_many_jobs_is_made_in_time(bus, pages):
    """A tenth of a second for a hundred thousand jobs is measured by the benchmark; here a machine under load gets more."""
    page = pages()
    queue = Queue("default", connection=bus.redis)
    for _ in range(5):
        queue.enqueue_many([Queue.prepare_data(sample_jobs.add, (str(number),)) for number in range(2_000)])
    page.get("/jobs")
    began = time.perf_counter()
    assert page.get("/jobs?status=queued").status_code == 200
    assert time.perf_counter() - began < 2.0
