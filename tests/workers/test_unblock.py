"""Ending a wait for a job from the server's side."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import notify
from notify.testing import PrivateServer, wait_until
from tests.faults import commands_during
from workers.unblock import end_wait


@contextmanager
def waiting(bus: notify.Bus, name: str) -> Iterator[threading.Thread]:
    """Somebody of that name who waits for a job, for a long time."""
    client = bus.redis.clone(name=name)
    client.connection_pool.connection_kwargs["socket_timeout"] = 30
    thread = threading.Thread(target=client.blpop, args=("rq:queue:nothing", 30))
    thread.start()
    wait_until(lambda: is_blocked(bus, name))
    yield thread
    end_wait(client, waits=thread.is_alive)
    thread.join(5)
    client.close()


def is_blocked(bus: notify.Bus, name: str) -> bool:
    clients: Any = bus.redis.client_list()
    return any(client["name"] == f"notify:{name}" and "b" in client["flags"] for client in clients)


def test_only_the_wait_of_that_name_is_ended(bus: notify.Bus) -> None:
    with waiting(bus, "mine") as mine, waiting(bus, "yours") as yours:
        client = bus.redis.clone(name="mine")
        end_wait(client, waits=mine.is_alive)
        assert not mine.is_alive()
        assert yours.is_alive()
        assert is_blocked(bus, "yours")
        client.close()


def test_nothing_is_done_when_nobody_waits(bus: notify.Bus) -> None:
    commands = commands_during(bus.redis, lambda: end_wait(bus.redis, waits=lambda: False))
    assert not [command for command in commands if command.startswith("CLIENT ")]


def test_a_server_that_is_away_raises_nothing(own_server: PrivateServer, caplog: Any) -> None:
    with notify.connect(own_server.url) as bus:
        own_server.kill()
        end_wait(bus.redis, waits=lambda: True)
    assert "the wait ends by itself" in caplog.text
