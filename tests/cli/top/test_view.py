"""The view of ``notify top``, driven by Textual's pilot: what each page shows, and what its keys do."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from textual.pilot import Pilot

import notify
from cli.signals import Stop
from cli.top.reading import Reader, note_of
from cli.top.view import View
from notify.testing import PrivateServer
from tests.support.faults import commands_during
from tests.support.sample_jobs import add, fail
from workers import Queue, Worker, rq_keys
from workers.overview import ListedJob

Steps = Callable[["Shown"], Awaitable[None]]
WAIT_S = 15.0


class Shown:
    """A view that runs without a terminal."""

    def __init__(self, view: View, pilot: Pilot[None]) -> None:
        self.view, self.pilot = view, pilot

    @property
    def text(self) -> str:
        """What the terminal would show."""
        strips: Any = self.view.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def go(self, *steps: tuple[str, str]) -> None:
        """Press a key and wait until a text is shown, or with ``-`` before it no more, for each step."""
        for key, text in steps:
            await self.press(key)
            await self.until(text.removeprefix("-"), is_there=not text.startswith("-"))

    async def until(self, text: str, *, is_there: bool = True) -> None:
        """Wait until a text is shown, or is not."""
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while (text in self.text) != is_there:
            assert asyncio.get_running_loop().time() < deadline, f"{text!r} in:\n{self.text}"
            await self.pilot.pause(0.05)


def show(bus: notify.Bus, steps: Steps, *, size: tuple[int, int] = (80, 24)) -> None:
    """Run a view, take steps, and end it by the key for that."""

    async def run() -> None:
        view = View(bus, Stop(), interval_s=0.2)
        async with view.run_test(size=size) as pilot:
            shown = Shown(view, pilot)
            await steps(shown)
            await shown.press("q")
        assert view.return_code == 0

    asyncio.run(run())


@contextmanager
def full(bus: notify.Bus) -> Iterator[Queue]:
    """A bus with something on every page."""
    queue = Queue("work", connection=bus.redis)
    with bus.service("storage", provides={"store"}), bus.service("printer"):
        for _ in range(3):
            queue.enqueue(add)
        queue.enqueue(add, needs="storage", job_id="with-storage")
        bus.publish("lab.temperature", 21)
        yield queue


PAGES = {
    "1": ["jobs: 4 queued (the oldest for", "services: 2", "! 4 jobs wait on work for", "and no worker listens", "no worker runs"],
    "2": ["latency", "! work"],
    "3": ["all jobs: 4", "with-storage", "tests.support.sample_jobs.add"],
    "4": ["storage", "printer", "alive", "store"],
    "5": ["lab.temperature", "subscribers"],
}


def test_each_page_shows_what_is_there(bus: notify.Bus) -> None:
    async def steps(shown: Shown) -> None:
        for key, texts in PAGES.items():
            await shown.go(*((key, text) for text in texts))
        for name in ("overview", "queues", "jobs"):
            await shown.press("tab")
            assert shown.view.page_name == name
        await shown.press("left")
        assert shown.view.page_name == "queues"

    with full(bus):
        show(bus, steps)


def test_a_service_is_killed_after_a_question_that_says_what_it_takes(bus: notify.Bus) -> None:
    async def steps(shown: Shown) -> None:
        await shown.go(("4", "printer"), ("k", "work: 1 waiting, 0 running: cancel"))
        assert "Kill the service storage?" in shown.text
        await shown.go(("n", "-Kill the service"))
        assert "storage" in bus.directory
        await shown.go(("k", "y: yes"), ("y", "storage killed ("))
        assert "storage" not in bus.directory
        end = bus.directory.last_end("storage")
        assert end is not None
        assert end.why == "by notify top"

    with full(bus):
        show(bus, steps)


def test_a_job_is_explained_and_cancelled_after_a_question(bus: notify.Bus) -> None:
    queue = Queue("work", connection=bus.redis)
    job = queue.enqueue(add, job_id="the-job")

    async def steps(shown: Shown) -> None:
        await shown.go(("3", "the-job"), ("e", "Esc: back"), ("escape", "-Esc: back"))
        for key in ("n", "escape", "enter"):  # only y is a yes
            await shown.go(("c", "Cancel the job the-job?"), (key, "-Cancel the job"))
        assert job.outcome is None
        await shown.go(("c", "Cancel the job the-job?"), ("y", "job the-job: cancelled"))
        await shown.go(("c", "has ended already: cancelled"), ("y", "-has ended already"))

    show(bus, steps)
    assert job.outcome is not None
    assert job.outcome.reason == "by notify top"


def test_a_worker_is_stopped_after_a_question(bus: notify.Bus) -> None:
    bus.redis.hset(rq_keys.worker("porter"), mapping={"state": "idle", "queues": "work", "hostname": "host", "pid": 1})
    bus.redis.sadd(rq_keys.WORKERS, rq_keys.worker("porter"))
    with bus.redis.pubsub() as orders:
        orders.subscribe("rq:pubsub:porter")
        assert orders.get_message(timeout=5)

        async def steps(shown: Shown) -> None:
            await shown.until("porter")
            await shown.go(("s", "Stop the worker porter?"), ("n", "-Stop the worker"))
            assert orders.get_message(timeout=0.2) is None
            await shown.go(("s", "Stop the worker porter?"), ("y", "worker porter is told to end"))

        show(bus, steps)
        order = orders.get_message(timeout=5)
        assert order is not None
        assert b"shutdown" in order["data"]


def test_the_jobs_of_a_status_are_shown(bus: notify.Bus) -> None:
    queue = Queue("work", connection=bus.redis)
    queue.enqueue(fail, job_id="broken")
    Worker(["work"], connection=bus.redis, modules=["tests.support.sample_jobs"]).work(burst=True)
    queue.enqueue(add, job_id="waiting")

    async def steps(shown: Shown) -> None:
        await shown.go(("3", "! broken"), ("3", "RuntimeError: it went wrong"), ("f", "queued jobs: 1"), ("r", "-broken"))

    show(bus, steps)


def test_no_page_costs_more_with_many_jobs_than_with_few(bus: notify.Bus) -> None:
    """It is read each second. The latency of a queue is that of its first jobs; of all jobs 500 are read."""
    reader, queue = Reader(bus), Queue("work", connection=bus.redis)

    def commands(page: str) -> int:
        return len(commands_during(bus.redis, lambda: reader.read(page, width=80), in_scripts=page != "jobs"))

    queue.enqueue_many([queue.prepare_data(add) for _ in range(600)])
    few = {page: commands(page) for page in ("overview", "queues", "jobs")}
    queue.enqueue_many([queue.prepare_data(add) for _ in range(1_000)])
    assert {page: commands(page) for page in few} == few
    assert reader.read("jobs", width=80).lines == ("all jobs: 1,600 (100 of the newest are shown)",)
    queue.empty()


def test_the_bars_of_a_topic_of_jobs_are_their_transitions(bus: notify.Bus) -> None:
    Queue("work", connection=bus.redis).enqueue(add)
    bus.publish("lab.door", 1)
    rows = {row.key: row.cells["per min"] for row in Reader(bus).read("topics", width=80).rows}
    assert {topic: bars.strip() for topic, bars in rows.items()} == {"job.work": "█", "lab.door": "█"}


def test_a_running_job_says_how_far_it_has_come(bus: notify.Bus) -> None:
    job = Queue("work", connection=bus.redis).enqueue(add)
    said = '{"done":40,"total":100,"message":"loading","at_ms":1,"fence":"f"}'
    bus.redis.hset(job.key, mapping={"fence": "f", "progress": said})
    assert note_of(ListedJob(job, "started")) == "40 of 100 (40 %), loading"
    assert note_of(ListedJob(job, "queued")) == ""


def test_the_cursor_stays_with_the_service_although_others_come(bus: notify.Bus) -> None:
    async def steps(shown: Shown) -> None:
        await shown.go(("4", "printer"), ("down", "storage"))
        bus.directory.kill("storage")
        await shown.go(("r", "-storage"), ("k", "Kill the service printer?"), ("n", "printer"))

    with full(bus):
        show(bus, steps)


def test_texts_that_would_drive_a_terminal_are_shown_escaped(bus: notify.Bus) -> None:
    async def steps(shown: Shown) -> None:
        await shown.go(("4", "[bold], evil\\x1b]2;x"), ("3", "all jobs: 1"), ("e", "Esc: back"))
        assert "\x1b" not in shown.text

    Queue("work", connection=bus.redis).enqueue(add, job_id="bold")
    with bus.service("svc", provides={"store"}):
        bus.redis.hset(bus.keys.service("svc"), "provides", '["evil\\u001b]2;x", "[bold]"]')
        show(bus, steps)
        bus.redis.hset(bus.keys.service("svc"), "provides", '["store"]')  # so that its end finds the index


@pytest.mark.any_server
def test_while_the_server_is_away_a_line_says_so_and_then_the_numbers_are_back(own_server: PrivateServer) -> None:
    with notify.connect(own_server.url) as bus:

        async def steps(shown: Shown) -> None:
            await shown.go(("4", "storage"))
            own_server.kill()
            await shown.until("waiting for the server: ")
            assert "storage" in shown.text
            await shown.press("k")
            own_server.restart()
            await shown.until("waiting for the server: ", is_there=False)
            await shown.until("storage")

        with bus.service("storage", ttl_s=30):
            show(bus, steps)


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (200, 60)])
def test_it_fits_into_terminals_of_several_sizes(bus: notify.Bus, size: tuple[int, int]) -> None:
    async def steps(shown: Shown) -> None:
        for key in PAGES:
            await shown.go((key, {"1": "jobs: 4", "2": "work", "3": "queued  ", "4": "storage", "5": "lab.temp"}[key]))
            lines = shown.text.splitlines()
            assert len(lines) == size[1]
            assert max(map(len, lines)) <= size[0]
        await shown.pilot.resize_terminal(60, 15)
        await shown.until("lab.temp")
        assert len(shown.text.splitlines()) == 15

    with full(bus):
        show(bus, steps, size=size)
