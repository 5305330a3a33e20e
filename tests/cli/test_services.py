"""``notify services`` and ``notify kill``."""

import os
import socket

import pytest

import notify
from notify import ServiceKilledError
from tests.cli.conftest import Shell


def test_services_are_lines_with_tabs_in_the_order_of_registration(shell: Shell, bus: notify.Bus) -> None:
    with bus.service("storage", provides={"store", "retrieve"}) as storage, bus.service("clock"):
        done = shell.run("services")
    assert (done.code, done.err) == (0, "")
    first, second = (line.split("\t") for line in done.lines)
    name, state, age_s, last_beat_s, *others = first
    assert (name, state) == ("storage", "alive")
    assert 0 <= float(last_beat_s) <= float(age_s) < 60
    assert others == ["retrieve,store", str(storage.incarnation), socket.gethostname(), str(os.getpid())]
    assert second[0] == "clock"


def test_services_as_json_are_one_object_a_line(shell: Shell, bus: notify.Bus) -> None:
    with bus.service("storage", provides={"store", "retrieve"}) as storage:
        (record,) = shell.run("--json", "services").records
    assert {
        "name": "storage",
        "provides": ["retrieve", "store"],
        "incarnation": storage.incarnation,
        "pid": os.getpid(),
    }.items() <= record.items()


def test_no_services_are_no_lines_and_a_word_to_a_person(shell: Shell) -> None:
    assert shell.run("services") == (0, "", "")
    code, shown = shell.show("services")
    assert code == 0
    assert "no service is registered on unix://" in shown


def test_a_namespace_shows_only_its_own(shell: Shell, bus: notify.Bus) -> None:
    with bus.service("storage"):
        assert shell.run("services", "--namespace", "yard").out == ""


def test_a_killed_service_is_told_why_and_listed_no_more(shell: Shell, bus: notify.Bus) -> None:
    with bus.service("storage", ttl_s=0.6) as storage, bus.subscribe("storage_status") as status:
        done = shell.run("kill", "storage", "--reason", "spring cleaning")
        event = status.get(5)
        assert isinstance(event, notify.Event)
        assert str(event.contents) == "storage killed: spring cleaning"
        assert done == (0, f"storage killed ({event.id})\n", "")
        assert storage.wait(5)
        with pytest.raises(ServiceKilledError):
            storage.check()
    assert shell.run("services").out == ""


def test_a_kill_as_json_is_the_service_and_the_event(shell: Shell, bus: notify.Bus) -> None:
    with bus.service("storage"):
        (record,) = shell.run("kill", "storage", "--json").records
    end = bus.directory.last_end("storage")
    assert end is not None
    assert record == {"service": "storage", "event": end.event}


def test_to_kill_what_is_not_there_fails_and_names_it(shell: Shell) -> None:
    done = shell.run("kill", "nobody")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert "'nobody'" in done.err
