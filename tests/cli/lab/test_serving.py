"""``notify serve``: the built-in services in the foreground."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import notify
from notify.server import process_name
from notify.testing import PrivateServer, wait_until
from tests.cli.conftest import Shell
from workers import Queue, StorageKilledError
from workers.storage import NAME, Store
from workers.temperature import QUEUE, TOPIC


def recorded(bus: notify.Bus) -> Any:
    """Publish until the recorder listens and has enqueued a job; return it."""
    queue = Queue(QUEUE, connection=bus.redis)
    wait_until(lambda: bus.publish(TOPIC, {"celsius": 1, "text": "cold"}) and queue.count, timeout_s=20)
    return queue.get_jobs()[0]


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_the_storage_serves_until_a_signal_and_withdraws(shell: Shell, bus: notify.Bus, signum: signal.Signals, code: int) -> None:
    storage = shell.start("serve", "storage")
    storage.said("serving storage at namespace 'notify' on unix://")
    assert bus.directory.lookup(NAME).pid == storage.pid
    assert Store(bus).store("key", 1)
    storage.signal(signum)
    done = storage.end()
    assert (done.code, done.out, done.err.count("\n")) == (code, "", 1)
    end = bus.directory.last_end(NAME)
    assert end is not None
    assert end.reason == "withdrawn"


def test_M11_a_service_says_what_it_is_and_not_where_its_server_is(shell: Shell) -> None:
    storage = shell.start("serve", "storage", "--url", shell.environ["NOTIFY_URL"])
    storage.said("serving storage")
    assert shell.processes[storage.pid].strip() == "notify: storage"


def test_ctrl_c_twice_at_once_withdraws_all_the_same(shell: Shell, bus: notify.Bus) -> None:
    storage = shell.start("serve", "storage")
    storage.said("serving")
    storage.interrupt()
    storage.interrupt()
    done = storage.end()
    assert (done.code, done.err.count("\n")) == (130, 1)
    assert NAME not in bus.directory


@pytest.mark.parametrize("service", ["storage", "thermometer"])
def test_a_killed_service_ends_says_who_killed_it_and_has_a_code_of_its_own(shell: Shell, bus: notify.Bus, service: str) -> None:
    """A supervisor that starts again what fails (systemd: Restart=on-failure) starts it again; `systemctl stop` ends it for good."""
    storage = shell.start("serve", service, "--ttl", "0.6")
    storage.said("serving")
    bus.directory.kill(service, why="for \x1b[31mrepair")
    done = storage.end()
    assert done.code == 5
    assert done.err.splitlines()[-1] == f"notify: {service} killed: for \\x1b[31mrepair (by process {process_name()})"


def test_the_jobs_of_a_killed_storage_are_told(shell: Shell, bus: notify.Bus) -> None:
    storage = shell.start("serve", "storage", "--ttl", "0.6")
    storage.said("serving")
    bus.directory.kill(NAME)
    assert storage.end().code == 5
    with pytest.raises(StorageKilledError):
        Store(bus).store("key", 1)


def test_a_second_storage_waits_for_the_first_and_gives_up(shell: Shell) -> None:
    first = shell.start("serve", "storage", "--ttl", "0.5")
    first.said("serving")
    second = shell.start("serve", "storage", "--ttl", "0.5")
    second.said("waiting 2.5 s")
    done = second.end()
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 2)
    assert f"process {first.pid}" in done.err


def test_ctrl_c_ends_the_wait_for_the_first_storage(shell: Shell) -> None:
    shell.start("serve", "storage").said("serving")
    second = shell.start("serve", "storage")
    second.said("waiting")
    second.interrupt()
    done = second.end(timeout_s=2)
    assert (done.code, done.err.count("\n")) == (130, 1)


def test_a_storage_takes_over_from_one_that_died_without_a_word(shell: Shell, bus: notify.Bus) -> None:
    first = shell.start("serve", "storage", "--ttl", "0.8")
    first.said("serving")
    before = bus.directory.lookup(NAME)
    first.signal(signal.SIGKILL)
    assert first.end().code == -signal.SIGKILL
    second = shell.start("serve", "storage", "--ttl", "0.8")
    second.said("serving")
    after = bus.directory.lookup(NAME)
    assert after.pid == second.pid
    assert after.incarnation > before.incarnation


@pytest.mark.parametrize(("against", "published"), [("published", [20, 30.5, 24]), ("previous", [30.5])], ids=["published", "previous"])
def test_the_thermometer_publishes_the_numbers_of_a_file_and_ends_with_it(
    shell: Shell, bus: notify.Bus, collect: Callable[..., Any], against: str, published: list[float]
) -> None:
    (shell.folder / "readings").write_bytes(b"20\n22.5\nno number\n\xff\n30.5\n27\n24\n")
    with bus.subscribe(TOPIC) as events:
        done = shell.run("serve", "thermometer", "--source", "readings", "--interval", "0.001", "--threshold-against", against)
        received = collect(events, len(published))
    assert done.code == 0
    assert [event.contents["celsius"] for event in received] == published
    assert received[0].contents["text"] == f"the temperature is {published[0]}°C"
    assert not list(bus.directory)


def test_the_thermometer_reads_numbers_from_a_pipe_as_they_come(shell: Shell, bus: notify.Bus, collect: Callable[..., Any]) -> None:
    with bus.subscribe(TOPIC) as events:
        thermometer = shell.start("serve", "thermometer", "--source", "-", "--interval", "0.001", "--threshold", "0")
        for number in (1, 2):
            thermometer.type(f"{number}\n")
            (event,) = collect(events, 1)
            assert event.contents["celsius"] == number
    thermometer.stdin.close()
    assert thermometer.end().code == 0


def test_ctrl_c_ends_a_thermometer_whose_source_is_silent(shell: Shell, bus: notify.Bus) -> None:
    thermometer = shell.start("serve", "thermometer", "--source", "-")
    thermometer.said("serving thermometer")
    thermometer.interrupt()
    done = thermometer.end(timeout_s=5)
    assert (done.code, done.err.count("\n")) == (130, 1)
    assert not list(bus.directory)


def test_the_recorder_waits_for_a_storage_has_readings_logged_and_tells_its_end(shell: Shell, bus: notify.Bus) -> None:
    recorder = shell.start("serve", "recorder", "--delay", "0.5")
    recorder.said("serving recorder")
    with bus.service(NAME, provides={"store"}) as storage:
        job = recorded(bus)
        assert job.args[1:] == ["cold", 0.5]
        storage.kill()
    assert recorder.printed(4)[3:] == ["storage killed\n"]
    wait_until(lambda: not Queue(QUEUE, connection=bus.redis).count)
    assert not recorder.ended
    recorder.interrupt()
    assert recorder.end().code == 130


def test_a_recorder_for_once_ends_with_the_storage_and_says_so_as_json(shell: Shell, bus: notify.Bus) -> None:
    with bus.service(NAME, provides={"store"}) as storage:
        recorder = shell.start("serve", "recorder", "--once", "--json")
        recorded(bus)
        storage.kill()
    (record,) = recorder.end().records
    assert record["event"].startswith("New event\nTopic: storage_status\nTime: ")
    assert record["event"].endswith("\nstorage killed")


def test_a_thermometer_outlives_an_outage_of_the_server(alone: Shell, own_server: PrivateServer) -> None:
    thermometer = alone.start("serve", "thermometer", "--interval", "0.05", NOTIFY_URL=own_server.url)
    thermometer.said("serving")
    own_server.kill()
    thermometer.said("a reading is lost: no answer from")
    own_server.restart()
    with notify.connect(own_server.url) as bus, bus.subscribe(TOPIC) as events:
        assert isinstance(events.get(10), notify.Event)
    thermometer.interrupt()
    assert thermometer.end().code == 130


def test_a_recorder_that_waits_outlives_an_outage_of_the_server(alone: Shell, own_server: PrivateServer) -> None:
    recorder = alone.start("serve", "recorder", NOTIFY_URL=own_server.url)
    recorder.said("serving")
    own_server.kill()
    recorder.said("waiting for the server: no answer from")
    own_server.restart()
    with notify.connect(own_server.url) as bus, bus.service(NAME, provides={"store"}):
        assert recorded(bus)
    recorder.interrupt()
    assert recorder.end().code == 130


def test_a_child_whose_parent_is_gone_does_not_serve(shell: Shell, bus: notify.Bus) -> None:
    done = shell.run("serve", "storage", "--with-parent", str(os.getppid()))
    assert (done.code, done.out, done.err) == (1, "", "")
    assert bus.directory.last_end(NAME) is None


def test_serving_on_a_private_server_of_no_one_else_stops_it(alone: Shell, home: Path) -> None:
    storage = alone.start("serve", "storage")
    storage.said("serving")
    assert json.loads(alone.run("services", "--json").out)["name"] == NAME
    storage.interrupt()
    storage.end()
    assert not (home / "redis.sock").exists()
