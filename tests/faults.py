"""Things that go wrong, and what a server holds before and after."""

from collections.abc import Callable
from typing import Any

import redis

import notify
from notify.keys import parse_due_member
from notify.scripts import Scripts


def cut(client: redis.Redis, name: str) -> int:
    """Cut the subscriptions of the bus called ``name``, as a broken network would. Returns how many were cut."""
    clients: Any = client.client_list(_type="pubsub")
    return sum(client.client_kill_filter(_id=row["id"]) for row in clients if row["name"] == f"notify:{name}")


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
    """All that the server holds, but for the note of the last sweep: each key with its value, serialised."""
    return {key: client.dump(key) for key in client.scan_iter() if not key.endswith(b":sweep")}


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


def beat(service: notify.Service) -> None:
    """Send the heartbeat of a service now."""
    service._heart.turn([service])


def let_pass(bus: notify.Bus, seconds: float, *, swept: bool = True) -> None:
    """Turn back all times that the directory keeps: as if so many seconds had passed, ``swept``: with somebody sweeping to the end."""
    client, keys, ms = bus.redis, bus.keys, round(seconds * 1000)
    members: Any = client.zrange(keys.due, 0, -1)
    for member in members:
        client.zincrby(keys.due, -ms, member)
        _turn_back(client, keys.service(parse_due_member(member.decode())[0]), ("beat_ms", "told_ms"), ms)
    _turn_back(client, keys.sweep, ("grace_ms", "held_ms", "duty_ms", "slot_ms"), ms)
    if swept:
        client.hset(keys.sweep, "at_ms", server_ms(client))
        client.expire(keys.sweep, 86_400)
    else:
        _turn_back(client, keys.sweep, ("at_ms",), ms)


def _turn_back(client: redis.Redis, key: str, fields: tuple[str, ...], ms: int) -> None:
    for field in fields:
        if client.hexists(key, field):
            client.hincrby(key, field, -ms)


def server_ms(client: redis.Redis) -> int:
    """The server's clock."""
    seconds, microseconds = client.time()
    return int(seconds * 1000 + microseconds // 1000)
