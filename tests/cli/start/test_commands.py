"""The list of commands says what each command says of itself, and loads none."""

import typer
from typer.testing import CliRunner

from cli.app import app
from cli.start import COMMANDS


def test_the_list_shows_the_first_sentence_of_the_help_of_each_command() -> None:
    own = {command.name: " ".join(command.load().help.partition("\n\n")[0].split()) for command in COMMANDS}
    first = {name: text if text.index(".") == len(text) - 1 else text[: text.index(". ") + 1] for name, text in own.items()}
    assert first == {command.name: command.help for command in COMMANDS}


def test_a_command_has_the_name_that_it_is_called_by() -> None:
    assert [command.load().name for command in COMMANDS] == [command.name for command in COMMANDS]


def test_help_shows_the_list_in_its_order() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "100"}).stdout.partition("Commands:\n")[2]
    names = [line.split()[0] for line in shown.splitlines() if line[2:3].strip()]
    assert names[: len(COMMANDS)] == [command.name for command in COMMANDS]


def test_the_shell_completes_the_names_and_then_the_options_of_a_command() -> None:
    def completed(line: str) -> list[str]:
        asked = {"_NOTIFY_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
        return CliRunner().invoke(app, [], prog_name="notify", env=asked).stdout.split()

    assert completed("notify work") == ["worker", "workers"]
    assert completed("notify worker --skip") == ["--skip-foreign"]
    assert completed("notify service sh") == ["show"]


def test_a_name_that_is_nearly_a_command_is_answered_with_that() -> None:
    done = CliRunner().invoke(app, ["servces"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "'services'" in done.stderr


def test_the_group_of_all_commands_holds_them_as_they_are_listed() -> None:
    assert list(typer.main.get_group(app).commands) == [command.name for command in COMMANDS]
