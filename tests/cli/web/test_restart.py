"""In a real browser: the page is killed while somebody looks, and is started anew on its port."""

import signal
import socket
from collections.abc import Iterator

import pytest

import notify
from tests.cli.conftest import Shell
from tests.support import sample_jobs
from tests.support.browser import Browser, browsing, missing
from tests.support.commands import Command
from workers import Queue

pytestmark = [pytest.mark.any_server, pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsing("") as running:
        yield running


def test_who_looked_is_told_and_sees_what_happened_meanwhile(shell: Shell, bus: notify.Bus, chromium: Browser) -> None:
    queue = Queue("work", connection=bus.redis)
    queue.enqueue(sample_jobs.add, "1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])

    def start() -> Command:
        command = shell.start("web", "--port", port, "--allow-actions")
        command.said("the page is at", timeout_s=20)
        return command

    command, chromium.url = start(), f"http://127.0.0.1:{port}"
    chromium.open("/jobs?status=queued")
    chromium.wait(lambda: chromium.text("#live") == "updates live", "the page")
    chromium.click("a[data-action][href*='/action/cancel']")
    chromium.wait(lambda: "Cancel this 1 job?" in chromium.text("dialog"), "the question")
    command.signal(signal.SIGKILL)
    command.end()
    chromium.wait(lambda: chromium.text("#live") == "does not update", "the word that it is away")
    assert "It comes back by itself" in chromium.text("#state")
    second = queue.enqueue(sample_jobs.add, "2")
    command = start()
    chromium.wait(lambda: chromium.all(f"input[value='{second.id}']"), "the job of meanwhile", timeout_s=30)
    assert (chromium.text("#live"), chromium.text("#state")) == ("updates live", "")
    chromium.click("dialog button.danger")  # a form of the page before: its secret was another one
    chromium.wait(lambda: "this form is older than the page" in chromium.text("dialog"), "the words")
    assert queue.count == 2
    chromium.driver.get("about:blank")
    command.interrupt()
    assert command.end().code == 130
