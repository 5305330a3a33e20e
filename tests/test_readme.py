"""The programs and commands of the README, run as they are written there."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from cli.app import app
from notify.testing import wait_until
from tests.support.servers import redis_cli

README = Path(__file__).parent.parent / "README.md"
RUN_BY_CI_ITSELF = ("make demo", "make test")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Yield the commands of a console block, each with the output shown below it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


@pytest.fixture
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a new user: no variable is set, and the programs of the README are in the folder."""
    folder = tmp_path_factory.mktemp("readme")
    tools = folder / "bin"
    tools.mkdir()
    (tools / "redis-cli").symlink_to(redis_cli())
    home = tempfile.mkdtemp(prefix="readme-", dir="/tmp")  # a socket needs a short path
    for source in blocks("python"):
        name = re.match(r"# (\w+\.py)\n", source)
        assert name, f"a program without a name:\n{source}"
        (folder / name[1]).write_text(source)
    yield {
        "PATH": f"{Path(sys.executable).parent}:{tools}:/usr/bin:/bin",
        "NOTIFY_HOME": home,
        "NOTIFY_SERVER": os.environ.get("NOTIFY_SERVER", ""),
        "PWD": str(folder),
    }
    shutil.rmtree(home)


def run(command: str, environ: dict[str, str], *, timeout_s: float = 40) -> str:
    done = subprocess.run(
        ["bash", "-c", command], env=environ, cwd=environ["PWD"], capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def start(command: str, environ: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        shlex.split(command),
        env=environ,
        cwd=environ["PWD"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def stop(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert process.stderr is not None
    process.stderr.close()


def test_the_programs_print_what_the_readme_shows(shell: dict[str, str]) -> None:
    shown = [item for block in blocks("console") for item in commands(block) if item[0] not in RUN_BY_CI_ITSELF]
    programs = [(command, output) for command, output in shown if "$SOCKET" not in command]
    assert len(programs) == 6
    background = []
    try:
        for command, output in programs:
            if command.endswith("&"):
                background.append(start(command.removesuffix("&"), shell))
            else:
                assert run(command, shell) == output.rstrip("\n") + "\n"
    finally:
        for process in background:
            stop(process)


def test_operators_see_with_redis_cli_what_the_readme_says(shell: dict[str, str]) -> None:
    lab = start("notify up --number 1 --interval 0.2", shell)
    try:
        assert lab.stderr is not None
        told = next(line for line in lab.stderr if "redis-cli -s" in line)
        environ = {**shell, "SOCKET": told.split()[-1]}
        looks = [command for block in blocks("console") for command, _ in commands(block) if "$SOCKET" in command]
        assert len(looks) == 7
        wait_until(lambda: "the temperature is" in run("redis-cli -s $SOCKET HGETALL notify:state:storage", environ), timeout_s=20)
        seen = {}
        for command in looks:
            shown = run(f"timeout 2 {command} || true" if "SUBSCRIBE" in command else command, environ)
            seen[command.split(" ", 3)[3].split(" '")[0] if command.startswith("redis-cli") else "rq"] = shown
        assert {"storage", "thermometer"} <= set(seen["SMEMBERS notify:services"].split())
        assert "alive" in seen["HGETALL notify:service:storage"].split()
        assert "the temperature is" in seen["HGETALL notify:state:storage"]
        assert "celsius" in seen["XREVRANGE notify:log:temperature + - COUNT 3"]
        assert int(seen["PUBLISH notify:event:temperature"]) >= 1
        message = seen["SUBSCRIBE notify:event:temperature"].splitlines()[-1]
        assert json.loads(message)["topic"] == "temperature"
        assert "1 workers" in seen["rq"]
        assert "temperature" in seen["rq"]
    finally:
        stop(lab)


def test_every_command_of_the_readme_exists(shell: dict[str, str]) -> None:
    listed = re.findall(r"^notify (\w+)", "".join(blocks("text")), re.MULTILINE)
    known = run("notify --help", {**shell, "COLUMNS": "200"})
    assert set(listed) == set(typer.main.get_group(app).commands)
    assert all(re.search(rf"\b{name}\b", known) for name in listed)
