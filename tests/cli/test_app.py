"""Common behaviour of all commands: help, usage, errors, exit codes, environment."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

import notify
from cli.app import app
from notify.testing import PrivateServer, wait_until
from tests.cli.conftest import Shell, SlowServer

COMMANDS = (
    "demo",
    "up",
    "serve storage",
    "serve thermometer",
    "serve recorder",
    "worker",
    "services",
    "topics",
    "spy",
    "publish",
    "listen",
    "kill",
    "call",
)
WITHOUT_SERVER = ("flow run", "flow check", "flow schema", "gateway in", "gateway out", "chat")
NOBODY = "redis://ada:s3cret@localhost:1/0"


def test_without_a_command_it_shows_what_there_is(shell: Shell) -> None:
    done = shell.run()
    assert done.code == 2
    assert all(command.split()[0] in done.out + done.err for command in (*COMMANDS, *WITHOUT_SERVER))


def test_it_tells_its_version(shell: Shell) -> None:
    assert shell.run("--version") == (0, f"notify {notify.__version__}\n", "")


@pytest.mark.parametrize("command", [*COMMANDS, *WITHOUT_SERVER])
def test_every_command_explains_itself_and_knows_the_common_options(command: str) -> None:
    done = CliRunner().invoke(app, [*command.split(), "-h"], prog_name="notify", env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert f"notify {command}" in done.stdout
    assert {"--url", "--namespace", "--json"} <= set(done.stdout.split())


@pytest.mark.parametrize(
    "arguments",
    [
        "frobnicate",
        "--frobnicate",
        "serve cellar",
        "publish",
        "publish topic 1 2",
        "publish * 1",
        "publish topic 1 --retain soon",
        "publish topic 1 --retain -5",
        "kill",
        "kill a b",
        "call",
        "call calculator",
        "call calculator multiply --timeout-s soon",
        "call calculator multiply --timeout-s 0",
        "call calc* multiply",
        "services storage",
        "listen --count 0",
        "listen --format none",
        "listen --seconds -1",
        "listen --url http://localhost",
        "listen --namespace a*",
        "demo --seconds 0",
        "demo --seconds inf",
        "demo --workers 0",
        "up --number 0",
        "up --interval 0",
        "up --import nowhere_to_be_found",
        "worker --number none",
        "worker --number 99999999999",
        "up --number 99999999999",
        "worker --import os",
        "serve storage --ttl 0",
        "serve storage --ttl nan",
        "serve thermometer --interval 0",
        "serve thermometer --threshold-against yesterday",
        "serve thermometer --source /nowhere",
        "serve recorder --delay -1",
    ],
)
@pytest.mark.usefixtures("_signals")
def test_wrong_usage_is_told_on_stderr_with_exit_code_2(server: PrivateServer, arguments: str) -> None:
    done = CliRunner().invoke(app, arguments.split(), env={"NOTIFY_URL": server.url})
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr
    assert "Value error" not in done.stderr


def test_a_missing_argument_has_the_name_that_the_help_gives_it(shell: Shell) -> None:
    for command in ("queues pause", "service show", "kill", "workers stop", "healthcheck service"):
        assert "missing argument 'NAME'" in shell.run(*command.split()).err


def test_wrong_usage_of_the_real_command_is_no_traceback(shell: Shell) -> None:
    done = shell.run("publish", "topic*", "1")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "topic*" in done.err


@pytest.mark.parametrize("command", [*COMMANDS[:-4], "publish topic 1", "listen", "kill storage", "call calculator multiply"])
@pytest.mark.usefixtures("_signals")
def test_an_unreachable_server_is_one_line_without_the_password(command: str) -> None:
    done = CliRunner().invoke(app, [*command.split(), "--url", NOBODY])
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert "localhost:1" in done.stderr
    assert "s3cret" not in done.stderr


def test_an_unreachable_server_is_no_traceback_of_the_real_command(shell: Shell) -> None:
    done = shell.run("services", NOTIFY_URL=NOBODY)
    assert (done.code, done.out, done.err.count("\n")) == (3, "", 1)
    assert "redis://***@localhost:1/0" in done.err


@pytest.mark.parametrize(
    ("variable", "value"),
    [("NOTIFY_TTL_S", "soon"), ("NOTIFY_NAMESPACE", "a b"), ("NOTIFY_LOG_LENGTH", "-1"), ("NOTIFY_URL", "gopher://ada:s3cret@hole")],
)
def test_a_setting_that_cannot_be_is_named(variable: str, value: str) -> None:
    done = CliRunner().invoke(app, ["listen"], env={variable: value})
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert variable in done.stderr
    assert "s3cret" not in done.stderr


def test_a_server_that_cannot_be_started_is_one_line(alone: Shell) -> None:
    done = alone.run("services", NOTIFY_SERVER="/nowhere/redis-server")
    assert (done.code, done.out, done.err.count("\n")) == (3, "", 1)
    assert "$NOTIFY_SERVER" in done.err


def test_it_runs_without_a_home(alone: Shell, home: Path) -> None:
    assert alone.run("services", HOME=None, NOTIFY_HOME=None, XDG_STATE_HOME=str(home)).code == 0
    assert (home / "notify").is_dir()


def test_arguments_that_are_not_utf8_are_wrong_usage(shell: Shell) -> None:
    for arguments in (["publish", "topic", "\udcff"], ["services", "--url", "redis://\udcff"]):
        done = shell.run(*arguments)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        assert "UTF-8" in done.err


def test_a_full_disk_is_one_line(shell: Shell) -> None:
    command = shell.start_program("sh", "-c", 'python -m cli publish topic 1 > "$0"', "/dev/full")
    done = command.end()
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "No space left" in done.err


def test_a_completion_script_is_printed(shell: Shell) -> None:
    done = shell.run(_NOTIFY_COMPLETE="source_bash")
    assert (done.code, done.err) == (0, "")
    assert "_NOTIFY_COMPLETE" in done.out


def test_commands_are_completed(shell: Shell) -> None:
    done = shell.run(_NOTIFY_COMPLETE="complete_bash", COMP_WORDS="notify se", COMP_CWORD="1")
    assert sorted(done.lines) == ["serve", "service", "services"]


@pytest.mark.parametrize("command", ["listen", "up", "demo"])
def test_ctrl_c_while_the_private_server_starts_leaves_none_behind(alone: Shell, slow_server: SlowServer, command: str) -> None:
    running = alone.start(*command.split(), NOTIFY_SERVER=str(slow_server.path))
    wait_until(slow_server.launched.exists, timeout_s=20)
    running.interrupt()
    slow_server.may_go_on.touch()
    done = running.end()
    assert (done.code, done.out) == (130, "")
    assert "Traceback" not in done.err
    assert not slow_server.is_running


def test_ctrl_c_during_the_imports_is_no_traceback(shell: Shell) -> None:
    # On PYTHONPATH, which stands before the installed libraries.
    (shell.folder / "typer.py").write_text("import signal; print('importing', flush=True); signal.pause()")
    path = os.pathsep.join(filter(None, [str(shell.folder), shell.environ["PYTHONPATH"]]))
    command = shell.start("listen", PYTHONPATH=path)
    command.printed()
    command.interrupt()
    assert command.end() == (130, "importing\n", "")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("services >&-", 0),
        ("topics >&- 2>&-", 0),
        ("publish x 1 >&-", 0),
        ("publish x <&-", 0),
        ("job show nope 2>&-", 1),
        ("listen -c 1 --seconds 0.1 >&-", 0),
    ],
)
def test_a_closed_stream_is_as_one_that_leads_nowhere(shell: Shell, command: str, code: int) -> None:
    done = shell.start_program("sh", "-c", f"python -m cli {command}").end()
    assert done.code == code, done.err
    assert "Traceback" not in done.err
