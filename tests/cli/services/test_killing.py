"""``notify kill``: ends a service; ``--dry-run`` counts the jobs that need it."""

import pytest

import notify
from notify import ServiceKilledError
from tests.cli.conftest import Shell
from tests.support.sample_jobs import add
from workers import Queue


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


def test_what_a_kill_would_cost_is_shown_and_nothing_is_killed(shell: Shell, bus: notify.Bus) -> None:
    with bus.service("storage"):
        queue = Queue("sums", connection=bus.redis)
        for _ in range(3):
            queue.enqueue(add, needs="storage")
        queue.enqueue(add, needs="storage", on_loss="drain")
        queue.enqueue(add)
        done = shell.run("kill", "storage", "--dry-run")
        assert (done.code, done.lines) == (0, ["sums\tcancel\t3\t0", "sums\tdrain\t1\t0"])
        assert shell.run("kill", "storage", "--dry-run", "--json").records[0] == {
            "queue": "sums",
            "on_loss": "cancel",
            "waiting": 3,
            "running": 0,
        }
        assert "storage" in bus.directory
        assert len(queue) == 5
        queue.empty()


def test_a_kill_that_costs_nothing_says_so_to_a_person(shell: Shell, bus: notify.Bus) -> None:
    with bus.service("storage"):
        assert shell.run("kill", "storage", "--dry-run").out == ""
        assert "no job needs storage" in shell.show("kill", "storage", "--dry-run")[1]


def test_the_cost_of_a_kill_of_nobody_is_an_error(shell: Shell) -> None:
    assert shell.run("kill", "nobody", "--dry-run").code == 1
