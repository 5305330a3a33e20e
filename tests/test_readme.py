"""The programs and commands of the README and of the pages in docs, run as they are written there."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import notify
from cli.services.killed import KILLED
from cli.start import COMMANDS
from notify.testing import wait_until
from tests.support.servers import redis_cli
from tests.support.sessions import Terminal

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RUN_BY_CI_ITSELF = ("make demo", "make test")


def pages() -> list[Path]:
    """The README first, as a reader begins there."""
    return [README, *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[str]:
    text = "\n".join(page.read_text() for page in pages())
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Yield the commands of a console block, each with the output shown below it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A terminal that is closed at the end, whatever has happened in it."""
    home = Path(tempfile.mkdtemp(prefix="readme-", dir="/tmp"))  # a socket needs a short path
    terminal = Terminal(home)
    try:
        yield terminal
    finally:
        terminal.close()
        shutil.rmtree(home)


@pytest.fixture
def shell(tmp_path_factory: pytest.TempPathFactory, terminal: Terminal) -> dict[str, str]:
    """The environment of a new user: no variable is set, and the programs of the README are in the folder."""
    folder = tmp_path_factory.mktemp("readme")
    tools = folder / "bin"
    tools.mkdir()
    (tools / "redis-cli").symlink_to(redis_cli())
    for source in blocks("toml"):
        name = re.match(r"# (\w+\.toml)\n", source)
        assert name, f"a file without a name:\n{source}"
        (folder / name[1]).write_text(source)
    for source in blocks("python"):
        name = re.match(r"# (\w+\.py)\n", source)
        assert name, f"a program without a name:\n{source}"
        (folder / name[1]).write_text(source)
    return {
        "PATH": f"{Path(sys.executable).parent}:{tools}:/usr/bin:/bin",
        "NOTIFY_HOME": str(terminal.home),
        "NOTIFY_SERVER": os.environ.get("NOTIFY_SERVER", ""),
        "PWD": str(folder),
    }


def run(terminal: Terminal, command: str, environ: dict[str, str], *, timeout_s: float = 40) -> str:
    """Return what a terminal would show of a command."""
    code, shown = terminal.run(command, environ, timeout_s=timeout_s)
    assert code == 0, f"{command}: {shown}"
    return shown


def is_shown(printed: str, shown: str) -> bool:
    """Return whether a page shows what a command printed. There, … stands for anything in one line; the widths of gaps do not count."""
    pattern = r"\n".join(".+".join(map(re.escape, re.sub("[ \t]+", " ", line).split("…"))) for line in shown.splitlines())
    return re.fullmatch(pattern, re.sub("[ \t]+", " ", printed).rstrip("\n")) is not None


def start(terminal: Terminal, command: str, environ: dict[str, str]) -> "subprocess.Popen[str]":
    return terminal.start(shlex.split(command), environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def stop(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) in (0, KILLED)
    assert process.stderr is not None
    process.stderr.close()


def test_the_programs_and_commands_print_what_the_pages_show(terminal: Terminal, shell: dict[str, str]) -> None:
    shown = [item for block in blocks("console") for item in commands(block) if item[0] not in RUN_BY_CI_ITSELF]
    programs = [(command, output) for command, output in shown if "$SOCKET" not in command]
    assert len(programs) == 20
    background = []
    try:
        for command, output in programs:
            if command.endswith("&"):
                background.append(start(terminal, command.removesuffix("&"), shell))
                assert background[-1].stderr is not None
                printed = background[-1].stderr.readline()  # as a reader does, wait until it runs
            else:
                printed = run(terminal, command, shell)
            assert is_shown(printed, output), f"{command}: {printed}"
    finally:
        for process in background:
            stop(process)


@pytest.mark.parametrize("leaves_session", [False, True])
def test_a_command_that_is_cut_off_leaves_no_process_behind(terminal: Terminal, shell: dict[str, str], leaves_session: bool) -> None:
    """Twin: a shell of the session of the tests, as `subprocess.run` starts it, leaves what it has started behind."""
    command = f"{'setsid ' if leaves_session else ''}sleep 60 & sleep 60"
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(["bash", "-c", command], env=shell, stdout=subprocess.DEVNULL, timeout=0.5, check=False)
    assert len(terminal.running()) >= 1
    terminal.close()
    with pytest.raises(subprocess.TimeoutExpired):
        run(terminal, command, shell, timeout_s=0.5)
    assert terminal.running() == []


def test_the_test_in_the_readme_passes_and_fails_without_its_service(terminal: Terminal, shell: dict[str, str]) -> None:
    file = Path(shell["PWD"]) / "test_reports.py"
    assert "1 passed" in run(terminal, "python -m pytest -q -p no:cacheprovider test_reports.py", shell)
    file.write_text(file.read_text().replace('bus.service("storage")', 'bus.service("attic")'))
    assert "1 failed" in run(terminal, "python -m pytest -q -p no:cacheprovider test_reports.py || true", shell)


def test_operators_see_with_redis_cli_what_the_readme_says(terminal: Terminal, shell: dict[str, str]) -> None:
    lab = start(terminal, "notify up --number 1 --interval 0.2", shell)
    try:
        assert lab.stderr is not None
        told = next(line for line in lab.stderr if "redis-cli -s" in line)
        environ = {**shell, "SOCKET": told.split()[-1]}
        looks = [command for block in blocks("console") for command, _ in commands(block) if "$SOCKET" in command]
        assert len(looks) == 7
        wait_until(
            lambda: "the temperature is" in run(terminal, "redis-cli -s $SOCKET HGETALL notify:state:storage", environ), timeout_s=20
        )
        seen = {}
        for command in looks:
            shown = run(terminal, f"timeout 2 {command} || true" if "SUBSCRIBE" in command else command, environ)
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


def rows(heading: str) -> list[str]:
    """The rows of the tables of a section of the README, without the heads."""
    _, _, section = README.read_text().partition(f"\n## {heading}\n")
    return [row for row in section.partition("\n## ")[0].splitlines() if row.startswith("| `")]


def options_of(command: Any) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("-")}


def test_the_table_of_commands_is_that_of_the_command_line() -> None:
    """Every command has a row, and every row names commands and options that exist."""
    known = {command.name: command.load() for command in COMMANDS}
    listed = set()
    for row in rows("The command line"):
        name, *rest = re.findall(r"[\w-]+", row.partition("`notify ")[2].partition("`")[0])
        listed.add(name)
        parts = [known[name], *getattr(known[name], "commands", {}).values()]
        assert not rest or not hasattr(parts[0], "commands") or rest[0] in parts[0].commands, row
        named = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", row))
        assert named <= set().union(*map(options_of, parts)), row
    assert listed == set(known)


def test_the_table_of_the_worker_has_each_of_its_options() -> None:
    named = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", "".join(row.split("|")[1] for row in rows("Workers"))))
    assert named == options_of(next(command for command in COMMANDS if command.name == "worker").load()) - {
        "--url",
        "--namespace",
        "--json",
        "--log-format",
        "--help",
        "-h",
    }


def test_the_table_of_settings_names_each_of_them_with_its_default() -> None:
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows("Settings")]
    shown = {name: value for names, values, *_ in cells for name, value in zip(names.split(", "), values.split(", "), strict=False)}
    plain = {field: getattr(notify.Settings(), field) for field in notify.Settings.__struct_fields__ if field != "url"}
    assert {f"`NOTIFY_{field.upper()}`" for field in plain} < set(shown)
    assert {field: shown[f"`NOTIFY_{field.upper()}`"].strip("`") for field in plain} == {
        field: f"{value:.10g}" if isinstance(value, float) else str(value) for field, value in plain.items()
    }


def test_the_extras_that_can_be_installed_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    listed = {name for names in re.findall(r"\.\[([\w,]+)\]", README.read_text()) for name in names.split(",")}
    assert listed == set(extras) - {"dev", "bench"}


def test_every_link_between_the_pages_leads_somewhere() -> None:
    for page in [*pages(), ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)\s]*)\)", page.read_text()):
            path, _, anchor = target.partition("#")
            aim = (page.parent / path) if path else page
            assert aim.exists(), f"{page.name}: {target}"
            heads = re.findall(r"^#+ (.*)$", aim.read_text(), re.MULTILINE) if anchor else []
            assert not anchor or anchor in {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}, (
                f"{page.name}: {target}"
            )
