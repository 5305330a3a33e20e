"""``notify call``: calls a method of a service."""

import re
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

    def add(self, a: Any, b: Any = None, **more: Any) -> Any:
        return {"a": a, "b": b, **more}

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # as its caller asks

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
        (["desk", "nothing"], "exports no method 'nothing': it exports add, echo, fail, sleep"),
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


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["a=1", "b=2"], '{"a":1,"b":2}'),
        (["1", "b=two words"], '{"a":1,"b":"two words"}'),
        (["a=", "b=[1, 2]"], '{"a":"","b":[1,2]}'),
        (['"a=1"'], '{"a":"a=1","b":null}'),
        (["a=x=y", "service=1", "method=2"], '{"a":"x=y","b":null,"service":1,"method":2}'),
        (["1=2"], '{"a":"1=2","b":null}'),
        (["http://host/?q=1"], '{"a":"http://host/?q=1","b":null}'),
        (["a=1", "b=two\nlines"], '{"a":1,"b":"two\\nlines"}'),
    ],
)
@pytest.mark.usefixtures("desk")
def test_keyword_arguments_are_given_by_name(server: PrivateServer, arguments: list[str], shown: str) -> None:
    done = CliRunner().invoke(app, ["call", "--url", server.url, "desk", "add", *arguments])
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{shown}\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a=1", "2"], "values without a name come first"),
        (["a=1", "a=2"], "a= is given twice"),
        (["1", "timeout_s=2"], "by position only"),
    ],
)
@pytest.mark.usefixtures("desk")
def test_keyword_arguments_that_cannot_be_passed_on_are_refused(server: PrivateServer, arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["call", "--url", server.url, "desk", "add", *arguments])
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in re.sub(r"[│\s]+", " ", done.stderr)


def test_a_provider_of_a_capability_is_called(server: PrivateServer, bus: notify.Bus) -> None:
    with bus.service("desk", provides={"write"}, exports=Desk()):
        done = CliRunner().invoke(app, ["call", "--url", server.url, "any write", "add", "1"])
        assert (done.exit_code, done.stdout) == (0, '{"a":1,"b":null}\n')
    gone = CliRunner().invoke(app, ["call", "--url", server.url, "any write", "add", "1"])
    assert (gone.exit_code, gone.stdout) == (1, "")
    assert "write" in gone.stderr
    assert CliRunner().invoke(app, ["call", "--url", server.url, "any ", "add"]).exit_code == 2
