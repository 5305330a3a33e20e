"""Options that are read without Pydantic: as Typer reads them, value by value, and with its words about those that are wrong."""

import subprocess
import sys
from enum import StrEnum
from typing import Annotated, Any, Final

import pytest
import typer

from cli.start.plain_values import read_plainly

QUIET: Final = """
import sys
from cli.app import main
sys.argv = ["notify", *sys.argv[1:], "--url", "redis://127.0.0.1:1"]
try:
    main()
finally:
    print("pydantic" in sys.modules)
"""


class Colour(StrEnum):
    RED = "Red"
    BLUE = "blue"


def command(*, plainly: bool) -> Any:
    """A command with an option of each kind that ours have, as Typer runs it."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)

    @app.command()
    def run(
        names: Annotated[list[str] | None, typer.Argument()] = None,
        whole: Annotated[int | None, typer.Option(min=1, max=9)] = None,
        size: int = 3,
        ratio: Annotated[float | None, typer.Option(min=0)] = None,
        colour: Annotated[Colour | None, typer.Option(case_sensitive=False)] = None,
        exact: Colour = Colour.RED,
        counts: Annotated[list[int] | None, typer.Option("--count")] = None,
        flag: Annotated[bool | None, typer.Option("--flag/--no-flag")] = None,
        text: str = "x",
    ) -> None:
        seen.append((names, whole, size, ratio, colour, exact, counts, flag, text))

    seen: list[Any] = []
    found = typer.main.get_command(app)
    if plainly:
        read_plainly(found)
    return found, seen


def outcome(arguments: list[str], *, plainly: bool) -> str:
    found, seen = command(plainly=plainly)
    try:
        found.main(arguments, prog_name="run", standalone_mode=False)
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"
    return repr(seen)


@pytest.mark.parametrize(
    "line",
    [
        *(
            "",
            "a b",
            "--whole 1",
            "--whole 9",
            "--whole +5",
            "--whole 0",
            "--whole 10",
            "--whole x",
            "--whole 1.0",
            "--whole 1e1",
            "--size -7",
        ),
        *("--size 007", "--size 1_000", "--size 99999999999999999999", "--size ''", "--ratio 0", "--ratio 1.5", "--ratio .5", "--ratio 1."),
        *("--ratio -1", "--ratio 1e3", "--ratio nan", "--ratio inf", "--ratio x", "--colour RED", "--colour blue", "--colour green"),
        *("--exact Red", "--exact red", "--count 1 --count 2", "--count 1 --count x", "--flag", "--no-flag", "--flag=1", "--text 7"),
        *("--text é\ud800", "--help-me", "--whole", "--size ٣", "--colour Blue --whole 3 n m --ratio 2"),
    ],
)
def test_a_value_is_read_as_typer_reads_it(line: str) -> None:
    arguments = [each.strip("'") for each in line.split()]
    assert outcome(arguments, plainly=True) == outcome(arguments, plainly=False)


@pytest.mark.parametrize(
    "arguments", [("services",), ("--json", "queues"), ("publish", "topic", "1"), ("worker", "yard", "-n", "8", "--grace", "2.5", "-v")]
)
def test_a_short_command_does_not_import_pydantic(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-c", QUIET, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (3, "False"), done.stderr


def test_the_twin_a_value_that_is_left_to_typer_imports_it() -> None:
    done = subprocess.run([sys.executable, "-c", QUIET, "worker", "-n", "x"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (2, "True"), done.stderr
