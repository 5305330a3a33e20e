"""A command imports what it needs: most of the time that a short command takes is imports."""

import json
import subprocess
import sys

import pytest

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
    assert not imported & {"redis", "rq", "rich", "asyncio", "msgspec", "croniter", "notify", "workers"}
    assert {name for name in imported if name.startswith("cli")} == {
        "cli",
        "cli.app",
        "cli.start",
        "cli.start.commands",
        "cli.start.given",
        "cli.start.signals",
        "cli.start.streams",
        "cli.start.usage",
    }
