"""The common options, before and after the name of the command, and the environment."""

import pytest
from typer.testing import CliRunner

import notify
from cli.app import app
from cli.options import Options
from notify.testing import PrivateServer

NOBODY = "redis://localhost:1"


@pytest.mark.parametrize(
    ("before", "after", "environ"),
    [
        ([], [], {"REDIS_URL": "HERE"}),
        ([], [], {"REDIS_URL": NOBODY, "NOTIFY_URL": "HERE"}),
        (["--url", "HERE"], [], {"NOTIFY_URL": NOBODY}),
        (["--url", NOBODY], ["--url", "HERE"], {"NOTIFY_URL": NOBODY}),
    ],
)
def test_the_option_after_the_command_beats_the_one_before_beats_the_environment(
    server: PrivateServer, bus: notify.Bus, before: list[str], after: list[str], environ: dict[str, str]
) -> None:
    def here(text: str) -> str:
        return server.url if text == "HERE" else text

    arguments = [*map(here, before), "services", *map(here, after)]
    done = CliRunner().invoke(app, arguments, env={"NOTIFY_URL": "", "REDIS_URL": "", **{k: here(v) for k, v in environ.items()}})
    assert (done.exit_code, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        "--json --namespace yard publish topic 1",
        "publish --json topic --namespace yard 1",
        "--namespace attic publish topic 1 --namespace yard --json",
    ],
)
def test_namespace_and_json_are_known_before_and_after_the_command(server: PrivateServer, bus: notify.Bus, arguments: str) -> None:
    done = CliRunner().invoke(app, arguments.split(), env={"NOTIFY_URL": server.url})
    assert done.stdout.startswith('{"topic":"topic","id":')
    assert bus.redis.exists("yard:log:topic")
    assert not bus.redis.exists("attic:log:topic")


@pytest.mark.usefixtures("_signals")
def test_a_group_of_commands_takes_the_options_too() -> None:
    done = CliRunner().invoke(app, ["serve", "--url", NOBODY, "storage"])
    assert done.exit_code == 3
    assert "localhost:1" in done.stderr


def test_nothing_asked_for_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_URL", "redis://here")
    monkeypatch.setenv("NOTIFY_TTL_S", "2")
    assert Options().settings == notify.Settings(url="redis://here", ttl_s=2.0)
    assert Options(namespace="yard").settings == notify.Settings(url="redis://here", ttl_s=2.0, namespace="yard")


def test_an_empty_namespace_or_url_is_wrong_and_not_unset() -> None:
    assert CliRunner().invoke(app, ["services", "--url", ""], env={"NOTIFY_URL": NOBODY}).exit_code == 2
    assert CliRunner().invoke(app, ["services", "--namespace", ""], env={"NOTIFY_URL": NOBODY}).exit_code == 2


@pytest.mark.parametrize("command", ["services", "worker q", "up", "serve storage", "monitor", "publish t 1"])
def test_M3_a_fake_server_in_memory_is_refused_by_every_command(command: str) -> None:
    for arguments, environ in (([*command.split(), "--url", "memory://"], {}), (command.split(), {"NOTIFY_URL": "memory://lab"})):
        result = CliRunner().invoke(app, arguments, env=environ)
        assert result.exit_code == 2
        assert "is a fake server inside one process" in result.stderr
