"""``notify up``: all parts on one machine, as users and operators see them."""

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

import notify
from notify.testing import wait_until
from tests.cli.conftest import PASSWORD, Shell
from tests.support.commands import Command
from workers.storage import NAME
from workers.temperature import LOG_KEY, TOPIC

UP = ("up", "--number", "1", "--interval", "0.05")


@pytest.fixture
def seen(home: Path) -> "Look":
    return Look(home)


class Look:
    """Reads the private server by plain Redis commands, and does not keep it running."""

    def __init__(self, home: Path) -> None:
        self.socket = home / "redis.sock"

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), decode_responses=True, retry=Retry(NoBackoff(), 0))

    def services(self) -> set[str]:
        with self.client() as client:
            names: set[str] = client.smembers("notify:services")
            return names

    def field(self, service: str, field: str) -> str | None:
        with self.client() as client:
            value: str | None = client.hget(f"notify:service:{service}", field)
            return value


def running(shell: Shell, look: Look, *options: str) -> Command:
    """Start ``notify up``, and wait until readings are logged."""
    command = shell.start(*UP, *options)
    command.said("Ctrl-C stops all")
    wait_until(lambda: _logged(look) > 0, timeout_s=20, what="the first log")
    return command


def _logged(look: Look) -> int:
    with look.client() as client:
        return len(json.loads(client.hget("notify:state:storage", LOG_KEY) or "{}"))


def test_ctrl_c_stops_in_order_and_leaves_neither_process_nor_server(alone: Shell, seen: Look) -> None:
    up = running(alone, seen)
    with seen.client() as client:
        services = client.pubsub()
        services.subscribe("notify:event:services")
        up.interrupt()
        done = up.end()
        gone = [json.loads(message["data"])["contents"] for message in _messages(services) if message["type"] == "message"]
    assert done.code == 130
    assert "Traceback" not in done.err
    assert done.err.splitlines()[-1] == "stopping: thermometer and recorder, workers, storage"
    assert not alone.processes
    assert not seen.socket.exists()
    ends = [change["service"] for change in gone if change["change"] == "withdrawn"]
    assert ends[0] == "thermometer"
    assert ends[-1] == "storage"
    assert {change["reason"] for change in gone} == {"withdrawn"}


def _messages(pubsub: redis.client.PubSub) -> Iterator[dict[str, str]]:
    """Yield the messages until the server closes the connection."""
    try:
        yield from pubsub.listen()
    except redis.ConnectionError:
        return
    finally:
        pubsub.close()


def test_operators_see_services_descriptions_and_events_with_plain_redis_commands(alone: Shell, seen: Look) -> None:
    up = running(alone, seen)
    assert any(f"redis-cli -s {seen.socket}" in line for line in up.err)
    assert {NAME, "thermometer", "notification-manager"} <= seen.services()
    with seen.client() as client:
        description = client.hgetall("notify:service:storage")
        assert alone.processes[int(description["pid"])].strip() == "notify: storage"
        assert (description["state"], description["ttl_ms"]) == ("alive", "5000")
        assert json.loads(description["provides"]) == ["kill", "modify", "retrieve", "store"]
        with client.pubsub(ignore_subscribe_messages=True) as subscriber:
            subscriber.subscribe("notify:event:temperature")
            message = wait_until(subscriber.get_message)
        event = json.loads(message["data"])
        assert event["topic"] == TOPIC
        assert re.fullmatch(r"the temperature is -?\d+°C", event["contents"]["text"])
    up.interrupt()
    assert up.end().code == 130


def test_a_storage_that_is_killed_is_announced_once_and_gone_within_its_ttl(alone: Shell, seen: Look) -> None:
    up = running(alone, seen, "--json")
    pid = int(seen.field(NAME, "pid") or 0)
    killed_at = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    up.said(f"storage (process {pid}) ended with exit code -9")
    wait_until(lambda: NAME not in seen.services(), timeout_s=10)
    assert time.monotonic() - killed_at < 5 + 1
    assert NAME not in alone.run("services").out
    up.signal(signal.SIGTERM)
    done = up.end()
    assert done.code == 0
    assert "Traceback" not in done.err
    events = [record for record in done.records if "topic" in record]
    assert [event["error"]["type"] for event in events if event["topic"] == "storage_status" and event.get("error", {}).get("fatal")] == [
        "StorageExpiredError"
    ]
    changes = [event["contents"] for event in events if event["topic"] == "services"]
    assert [change["change"] for change in changes if change["service"] == NAME] == ["available", "suspect", "withdrawn"]
    maps = [len(record[LOG_KEY]) for record in done.records if LOG_KEY in record]
    assert maps == list(range(1, len(maps) + 1))


def test_two_at_once_share_a_server_that_stops_with_the_last(alone: Shell, seen: Look) -> None:
    first = running(alone, seen)
    second = alone.start(*UP)
    second.said("waiting 7 s: the name 'storage' is held")
    first.interrupt()
    assert first.end().code == 130
    wait_until(lambda: seen.field(NAME, "pid"), what="the second storage", timeout_s=15)
    second.interrupt()
    done = second.end()
    assert done.code == 130
    assert "Traceback" not in done.err
    assert not seen.socket.exists()


@pytest.mark.parametrize("moment", ["users.lock", "redis.sock"])
def test_ctrl_c_at_its_start_leaves_nothing(alone: Shell, home: Path, moment: str) -> None:
    up = alone.start(*UP)
    wait_until((home / moment).exists, timeout_s=20)
    up.interrupt()
    done = up.end()
    assert done.code == 130
    assert "Traceback" not in done.err
    assert not alone.processes


def test_ctrl_c_again_and_again_leaves_nothing(alone: Shell, seen: Look) -> None:
    up = running(alone, seen)
    pressing = threading.Event()

    def press() -> None:
        while not pressing.wait(0.02) and not up.ended:
            up.signal(signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    try:
        done = up.end()
    finally:
        pressing.set()
        thread.join()
    assert done.code == 130
    assert "Traceback" not in done.err
    assert not alone.processes
    assert not seen.socket.exists()


def test_killed_itself_it_takes_all_but_the_server_along(alone: Shell, seen: Look) -> None:
    up = running(alone, seen)
    up.signal(signal.SIGKILL)
    up.end()
    wait_until(lambda: all("redis.sock" in command for command in alone.processes.values()), timeout_s=10)
    assert alone.run("services").code == 0  # its end stops the private server
    assert not seen.socket.exists()


def test_no_password_stands_in_a_list_of_processes_or_is_said(alone: Shell, url_with_password: str) -> None:
    up = alone.start(*UP, NOTIFY_URL=url_with_password)
    up.said("Ctrl-C stops all")
    with notify.connect(url_with_password) as bus:
        wait_until(lambda: LOG_KEY in bus.state(NAME), timeout_s=20)
    assert len(alone.processes) >= 5
    assert not [command for command in alone.processes.values() if PASSWORD in command]
    up.interrupt()
    done = up.end()
    assert done.code == 130
    assert PASSWORD not in done.out + done.err
