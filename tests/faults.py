"""Things that go wrong, and what a server holds before and after."""

from collections.abc import Callable
from typing import Any

import redis

import notify
from notify.scripts import Scripts


def cut(client: redis.Redis, name: str) -> int:
    """Cut the subscriptions of the bus called ``name``, as a broken network would. Returns how many were cut."""
    clients: Any = client.client_list(_type="pubsub")
    return sum(client.client_kill_filter(_id=row["id"]) for row in clients if row["name"].partition("|")[0] == f"notify:{name}")


def publish_unheard(bus: notify.Bus, topic: str, contents: notify.Json) -> str:
    """Publish, with the live message lost on its way: only the log holds the event. Returns its id."""
    scripts = Scripts(bus.redis)
    args = ["nobody:listens", topic, scripts.body(topic, contents), "", *scripts.limits()]
    event_id: bytes = scripts.run("publish", [*scripts.emit_keys(topic), bus.keys.retained(topic)], args, action="publishing unheard")
    return event_id.decode()


def trim(bus: notify.Bus, topic: str, *, keep: int) -> None:
    """Let the log of a topic forget all but its last events."""
    bus.redis.xtrim(bus.keys.log(topic), maxlen=keep, approximate=False)


def everything(client: redis.Redis) -> dict[bytes, bytes | None]:
    """All that the server holds: each key with its value, serialised."""
    return {key: client.dump(key) for key in client.scan_iter()}


def commands_during(client: redis.Redis, action: Callable[[], object]) -> list[str]:
    """The commands that anybody sends while ``action`` runs; what scripts call inside the server does not count."""
    commands: list[str] = []
    with client.monitor() as monitor:
        client.echo("from here")
        action()
        client.echo("to here")
        while monitor.next_command()["command"] != "ECHO from here":
            pass
        while (command := monitor.next_command())["command"] != "ECHO to here":
            if command["client_type"] != "lua":
                commands.append(command["command"])
    return commands


def server_ms(client: redis.Redis) -> int:
    """The server's clock."""
    seconds, microseconds = client.time()
    return int(seconds * 1000 + microseconds // 1000)
