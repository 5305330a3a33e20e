"""The command: where it listens, whom it asks for a token, and how it ends."""

import os
import re
import socket
import sys
from http.client import HTTPConnection
from importlib import import_module
from urllib.parse import urlsplit

import pytest

import notify
from cli.web import mount
from notify import SettingsError
from notify.testing import wait_until
from tests.cli.conftest import Shell
from tests.support import sample_jobs
from workers import Queue, find_jobs

pytestmark = pytest.mark.any_server
TOKEN = "a-token-of-the-command-1"
EVERY = "0.0.0.0"  # noqa: S104  # every address, with a token


def address(command) -> str:
    wait_until(lambda: any("the page is at" in line for line in command.err), timeout_s=20, what="the page")
    found = re.search(r"http://\S+", "".join(command.err))
    assert found
    return found[0]


def get(url: str, **headers: str) -> tuple[int, bytes]:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("GET", "/jobs", headers=headers)
    answer = connection.getresponse()
    status, body = answer.status, answer.read()
    connection.close()
    return status, body


def test_it_serves_until_it_is_told_to_end(shell: Shell) -> None:
    command = shell.start("web", "--port", "0")
    url = address(command)
    assert b"<h1>Jobs</h1>" in get(url)[1]
    assert "read-only" in "".join(command.err)
    command.interrupt()
    assert command.end().code == 130


def test_a_token_of_a_file_opens_it_on_every_address(shell: Shell) -> None:
    (shell.folder / "tokens").write_text(f"read {TOKEN}\n")
    command = shell.start("web", "--port", "0", "--host", EVERY, "--token-file", "tokens")
    url = address(command).replace(EVERY, "127.0.0.1")
    assert get(url, Authorization=f"Bearer {TOKEN}")[0] == 200
    assert get(url)[0] == 401
    command.interrupt()
    assert TOKEN not in "".join([*command.end().err, *command.out])


ANSWERS_SOON = "from cli.web import app; app.ACTION_S = 0.05; from notify_workers import main; main()"
"""The command, with an action that has most of its work before it when it is answered, on fast machines too."""


def test_it_ends_between_two_batches_of_a_long_action_and_tells_how_far_it_came(shell: Shell, bus: notify.Bus) -> None:
    queue, count = Queue("work", connection=bus.redis), 16_000
    for _ in range(4):
        queue.enqueue_many([Queue.prepare_data(sample_jobs.add) for _ in range(count // 4)])
    (shell.folder / "tokens").write_text(f"act olga {TOKEN}\n")
    options = ("--port", "0", "--allow-actions", "--token-file", "tokens")
    command = shell.start_program(sys.executable, "-c", ANSWERS_SOON, "web", *options)
    url = address(command)
    with bus.subscribe("ops") as ops:
        connection = HTTPConnection(urlsplit(url).netloc, timeout=30)

        def ask(method: str, path: str) -> tuple[str, str]:
            connection.request(method, path, headers={"Authorization": f"Bearer {TOKEN}"})
            answer = connection.getresponse()
            return answer.headers["refresh"], answer.read().decode()

        again, html = ask("POST", "/action/cancel?all=1&queue=work")
        assert "it goes on" in html
        assert ops.get(5).contents["what"]["goes_on"] is True
        wait_until(lambda: "<progress" in ask("GET", again.partition("url=")[2])[1], timeout_s=20, what="the first batch")
        connection.close()
        command.interrupt()
        told = ops.get(10).contents
        assert command.end().code == 130
    assert (told["action"], told["who"]) == ("cancel", "olga")
    assert told["problem"].startswith("the page ended in the middle: ")
    done = count - sum(1 for _ in find_jobs(bus.redis, queue="work", status="queued"))
    assert 0 < done < count
    assert f"{done:,} of {count:,} were looked at" in told["problem"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", EVERY], "everybody there could look: give --token-file or --auth-header"),
        (["--token-file", "nope"], "the file with the token cannot be read"),
        (["--actor", "olga"], "are for --auth-header"),
        (["--auth-header", "X-User", "--trusted-proxy", "nowhere"], "--trusted-proxy is no address or network"),
        (["--host", "192.0.2.1", "--auth-header", "X-User"], "cannot listen on 192.0.2.1"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_line(shell: Shell, options: list[str], words: str) -> None:
    done = shell.run("web", "--port", "0", *options)
    assert done.code == 2
    assert words in done.err
    assert len(done.err.splitlines()) == 1


def test_a_port_that_is_taken_is_told_in_one_line(shell: Shell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = shell.run("web", "--port", str(taken.getsockname()[1]))
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert "Address already in use; give another --port or --host" in done.err


def test_without_the_extra_one_line_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named '{name}'", name="starlette")

    monkeypatch.setattr(mount, "import_module", missing)
    with pytest.raises(SettingsError, match=re.escape("the page needs starlette: pip install 'notify-workers[web]'")):
        mount.require("cli.web.app")
    assert import_module("cli.web").web_app


@pytest.mark.parametrize("lacking", ["uvicorn", "jinja2"])
def test_the_command_without_the_extra_ends_with_that_line(shell: Shell, lacking: str) -> None:
    """A package of that name stands before the real one, and is not found, as far as Python can tell."""
    gone = shell.folder / "gone"
    gone.mkdir()
    (gone / f"{lacking}.py").write_text(f"raise ModuleNotFoundError(\"No module named '{lacking}'\", name='{lacking}')\n")
    path = os.pathsep.join(filter(None, [str(gone), shell.environ.get("PYTHONPATH", "")]))
    done = shell.run("web", "--port", "0", PYTHONPATH=path)
    assert done.code == 2
    assert f"the page needs {lacking}: pip install 'notify-workers[web]'" in done.err
    assert len(done.err.splitlines()) == 1
