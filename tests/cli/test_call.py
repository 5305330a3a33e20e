"""``notify call``: calls a method of a service."""

import time
from typing import Any

import pytest
from typer.testing import CliRunner

import notify
from cli.app import app
from notify.testing import PrivateServer
from tests.cli.conftest import Shell


class Desk:
    """The methods that the tests call."""

    def echo(self, *values: Any) -> Any:
        return values[0] if len(values) == 1 else values

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def fail(self) -> None:
        raise ValueError("two\nlines")


@pytest.fixture
def desk(bus: notify.Bus) -> Any:
    with bus.service("desk", exports=Desk()) as service:
        yield service


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["21.5"], "21.5"),
        (["21 °C"], "21 °C"),
        (['"21.5"'], "21.5"),
        (['{"a": [1, null]}'], '{"a":[1,null]}'),
        (["a\nb"], '"a\\nb"'),
        (["1", "two", "[3]"], '[1,"two",[3]]'),
        ([], "[]"),
        (["--", "-6", "7"], "[-6,7]"),
        (["null"], "null"),
    ],
)
@pytest.mark.usefixtures("desk")
def test_a_result_is_printed_and_arguments_are_json_or_else_text(server: PrivateServer, arguments: list[str], shown: str) -> None:
    done = CliRunner().invoke(app, ["call", "--url", server.url, "desk", "echo", *arguments])
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{shown}\n", "")


@pytest.mark.usefixtures("desk")
def test_a_result_as_json_is_one_object_with_who_gave_it(shell: Shell) -> None:
    (record,) = shell.run("call", "desk", "echo", '{"a": 1}', "--json", "--timeout-s", "10").records
    assert record == {"service": "desk", "method": "echo", "result": {"a": 1}}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody", "echo"], "'nobody' is not registered"),
        (["desk", "nothing"], "exports no method 'nothing': it exports echo, fail, sleep"),
        (["desk", "fail"], "'fail' of 'desk' raised ValueError: two"),
        (["desk", "sleep"], "raised TypeError"),
        (["desk", "sleep", "1", "--timeout-s", "0.1"], "'desk' did not answer 'sleep' within 0.1 s: the method had begun"),
    ],
)
@pytest.mark.usefixtures("desk")
def test_a_call_without_a_result_fails_with_its_reason(server: PrivateServer, arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["call", "--url", server.url, *arguments])
    assert (done.exit_code, done.stdout) == (1, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
