"""Things that go wrong, and what a server holds before and after."""

from collections.abc import Callable
from typing import Any

import redis

import notify
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
    service._heart.turn([service._registration])


LET_PASS = """
local function turn_back(key, fields)
  for _, field in ipairs(fields) do
    if redis.call('HEXISTS', key, field) == 1 then redis.call('HINCRBY', key, field, -ARGV[1]) end
  end
end
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  redis.call('ZINCRBY', KEYS[1], -ARGV[1], member)
  turn_back(KEYS[3] .. string.match(member, '^(.*)#'), {'beat_ms', 'told_ms'})
end
turn_back(KEYS[2], {'grace_ms', 'held_ms', 'duty_ms', 'slot_ms', 'at_ms'})
if ARGV[2] == '1' then
  local now = redis.call('TIME')
  redis.call('HSET', KEYS[2], 'at_ms', string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000)))
  redis.call('EXPIRE', KEYS[2], 86400)
end
"""


def let_pass(bus: notify.Bus, seconds: float, *, swept: bool = True) -> None:
    """Turn back all times that the directory keeps: as if so many seconds had passed, ``swept``: with somebody sweeping to the end.

    It is one step: the monitor of a bus never sees half of it.
    """
    bus.redis.eval(LET_PASS, 3, bus.keys.due, bus.keys.sweep, bus.keys.service(""), round(seconds * 1000), int(swept))


def server_ms(client: redis.Redis) -> int:
    """The server's clock."""
    seconds, microseconds = client.time()
    return int(seconds * 1000 + microseconds // 1000)
