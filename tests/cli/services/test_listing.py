"""``notify services``, ``service show``, ``watch`` and ``monitor``: the directory on the command line."""

import os
import re
import signal
import socket
from pathlib import Path

import notify
from notify.testing import wait_until
from tests.cli.conftest import Shell
from tests.support.faults import let_pass

README = Path(__file__).parents[3] / "README.md"


def test_services_are_lines_with_tabs_in_the_order_of_registration(shell: Shell, bus: notify.Bus) -> None:
    with bus.service("storage", provides={"store", "retrieve"}) as storage, bus.service("clock"):
        done = shell.run("services")
    assert (done.code, done.err) == (0, "")
    first, second = (line.split("\t") for line in done.lines)
    name, state, age_s, last_beat_s, *others = first
    assert (name, state) == ("storage", "alive")
    assert 0 <= float(last_beat_s) <= float(age_s) < 60
    assert others == ["retrieve,store", "", "0", str(storage.incarnation), socket.gethostname(), str(os.getpid()), ""]
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


def test_how_often_a_service_fell_silent_and_came_back_is_listed(shell: Shell, bus: notify.Bus) -> None:
    with bus.service("storage", ttl_s=3600):
        bus.redis.hincrby(bus.keys.service("storage"), "flaps", 3)
        (record,) = shell.run("--json", "services").records
        assert record["flaps"] == 3
        assert "flaps" in shell.show("services")[1]


def test_no_services_are_no_lines_and_a_word_to_a_person(shell: Shell) -> None:
    assert shell.run("services") == (0, "", "")
    code, shown = shell.show("services")
    assert code == 0
    assert "no such service is registered on unix://" in shown


def test_a_namespace_shows_only_its_own(shell: Shell, bus: notify.Bus) -> None:
    with bus.service("storage"):
        assert shell.run("services", "--namespace", "yard").out == ""


def test_what_is_known_of_a_service_is_shown_with_its_state(shell: Shell, bus: notify.Bus) -> None:
    with bus.service("storage", provides={"store"}, metadata={"disk": "/dev/sda"}) as storage:
        storage.state["count"] = 1
        (record,) = shell.run("service", "show", "storage", "--json").records
        lines = dict(line.split("\t") for line in shell.run("service", "show", "storage").lines)
    assert {"name": "storage", "state": "alive", "provides": ["store"], "stored": {"count": 1}}.items() <= record.items()
    assert record["metadata"] == {"disk": "/dev/sda"}
    assert (lines["name"], lines["stored"]) == ("storage", '{"count":1}')


def test_of_a_service_that_is_gone_its_end_is_shown(shell: Shell, bus: notify.Bus) -> None:
    with bus.service("storage") as storage:
        storage.kill("out of disk")
    (record,) = shell.run("service", "show", "storage", "--json").records
    assert record["state"] == "gone"
    assert (record["last_end"]["reason"], record["last_end"]["why"]) == ("killed", "out of disk")


def test_of_a_service_that_never_was_nothing_is_shown(shell: Shell) -> None:
    done = shell.run("service", "show", "nobody")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert shell.run("service", "show").code == 2
    assert shell.run("service").code == 2


def test_N4_who_is_there_and_who_comes_and_goes_is_told_in_lines(shell: Shell, bus: notify.Bus) -> None:
    with bus.service("early") as early:
        watching = shell.start("watch", "early", "late", "--count", "4")
        watching.printed(1)
        with bus.service("other"), bus.service("late") as late:
            watching.printed(2)
            late.kill("enough")
        early.close()
    lines = [line.split("\t")[1:] for line in watching.end().lines]
    assert lines == [
        ["available", "early", str(early.incarnation)],
        ["available", "late", str(late.incarnation)],
        ["withdrawn", "late", str(late.incarnation), "killed", "enough"],
        ["withdrawn", "early", str(early.incarnation), "withdrawn"],
    ]


def test_changes_as_json_are_one_object_a_line(shell: Shell, bus: notify.Bus) -> None:
    with bus.service("storage") as storage:
        (record,) = shell.run("--json", "watch", "--count", "1").records
    assert {"change": "available", "name": "storage", "incarnation": storage.incarnation}.items() <= record.items()


def test_a_list_that_is_watched_goes_on_until_ctrl_c(shell: Shell, bus: notify.Bus) -> None:
    watching = shell.start("services", "--watch")
    with bus.service("storage"):
        watching.printed(1)
    watching.printed(2)
    watching.interrupt()
    done = watching.end()
    assert done.code == 130
    assert [line.split("\t")[1:3] for line in done.lines] == [["available", "storage"], ["withdrawn", "storage"]]


def test_a_monitor_alone_withdraws_the_dead(shell: Shell, bus: notify.Bus, start) -> None:
    monitoring = shell.start("monitor")
    monitoring.said("sweeping")
    dead = start("service", shell.environ["NOTIFY_URL"], "storage", "0.3")
    dead.told()
    dead.kill()
    monitoring.printed(3)
    monitoring.signal(signal.SIGTERM)
    done = monitoring.end()
    assert [line.split("\t")[1] for line in done.lines] == ["available", "suspect", "withdrawn"]
    assert done.lines[2].split("\t")[4] == "expired"
    assert "storage" not in bus.directory


def test_N9_only_a_group_or_who_provides_something_can_be_listed_and_watched(shell: Shell, bus: notify.Bus) -> None:
    with bus.service("attic", groups={"sensors"}) as attic, bus.service("storage", provides={"store"}):
        assert [line.split("\t")[0] for line in shell.run("services", "--group", "sensors").lines] == ["attic"]
        assert [line.split("\t")[0] for line in shell.run("services", "--provides", "store").lines] == ["storage"]
        watching = shell.start("watch", "--group", "sensors", "--count", "2")
        watching.printed(1)
        attic.leave("sensors")
        assert [line.split("\t")[1:] for line in watching.end().lines] == [
            ["available", "attic", str(attic.incarnation)],
            ["withdrawn", "attic", str(attic.incarnation), "left"],
        ]


CRASH = ["notify serve storage & SERVICE=$!", "notify watch &", "kill -9 $SERVICE", "notify services"]
TTL_S = 1.5


def _state_of_storage(shell: Shell) -> str:
    """Return the state that ``notify services`` shows; "" for no service."""
    lines = shell.run("services").lines
    return lines[0].split("\t")[1] if lines else ""


def test_the_crash_in_the_readme_is_shown_in_time(shell: Shell, bus: notify.Bus) -> None:
    """The service, `notify watch` and `notify services` are the only processes of the namespace."""
    block = next(part for part in re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL) if "kill -9" in part)
    assert [line.partition("  #")[0].rstrip() for line in block.splitlines()] == CRASH
    service = shell.start("serve", "storage", "--ttl", str(TTL_S))
    wait_until(lambda: "storage" in bus.directory, timeout_s=20)
    watch = shell.start("watch")
    assert watch.printed()[0].split("\t")[1:3] == ["available", "storage"]
    assert _state_of_storage(shell) == "alive"
    service.signal(signal.SIGKILL)
    beat_ms = int(bus.redis.hget(bus.keys.service("storage"), "beat_ms") or 0)
    kinds = [line.split("\t")[1] for line in watch.printed(3)]
    assert kinds == ["available", "suspect", "withdrawn"]
    withdrawn_ms = int(bus.redis.hget(bus.keys.tombstone("storage"), "at_ms") or 0)
    assert TTL_S * 1000 <= withdrawn_ms - beat_ms <= (TTL_S + 1.0) * 1000
    assert _state_of_storage(shell) == ""


def test_a_crash_that_nobody_watched_is_shown_as_overdue_and_then_as_gone(shell: Shell, bus: notify.Bus) -> None:
    """The ttl is long: the grace, which is as long, must not be over because a command takes its time on a busy machine."""
    service = shell.start("serve", "storage", "--ttl", "60")
    service.said("serving storage")
    service.signal(signal.SIGKILL)
    service.end()
    let_pass(bus, 3_600, swept=False)
    assert _state_of_storage(shell) == "overdue"  # the first look after an hour gives a grace
    shown = shell.run("service", "show", "storage", "--json").records[0]
    assert (shown["state"], shown["silent_s"] > 3_600) == ("overdue", True)
    let_pass(bus, 60, swept=False)
    assert _state_of_storage(shell) == "overdue"  # this look withdraws it
    assert _state_of_storage(shell) == ""
    bus.redis.delete(*bus.redis.keys("notify:state:storage") or ["nothing"])
