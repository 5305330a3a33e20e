"""Causes faults in tests, and reads what a server holds before and after."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis

import notify
from notify.events.event import decode
from notify.events.scripts import EventScripts
from notify.testing import wait_until


def cut(client: redis.Redis, name: str) -> int:
    """Close the subscriber connections of the bus called ``name``, as a broken network would. Returns their number."""
    clients: Any = client.client_list(_type="pubsub")
    return sum(client.client_kill_filter(_id=row["id"]) for row in clients if row["name"].partition("|")[0] == f"notify:{name}")


def publish_and_cut(bus: notify.Bus, reader: str, *, events: int, cuts: int) -> None:
    """Publish the numbers below ``events``, and close the connection of the reader ``cuts`` times in between."""
    for number in range(events):
        bus.publish("t", number)
        if number % (events // cuts) == 0:
            wait_until(lambda: cut(bus.redis, reader), what="a connection to cut")


class Publishing:
    """Publishes numbers on ``t`` in a thread, and records the acknowledged ones. Use it as a context manager."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.acknowledged: list[int] = []

    def __enter__(self) -> "Publishing":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def go_on_for(self, count: int, *, timeout_s: float) -> None:
        """Wait until ``count`` more numbers are acknowledged."""
        end = len(self.acknowledged) + count
        wait_until(lambda: len(self.acknowledged) >= end, timeout_s=timeout_s, what="publishing")

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        with notify.connect(settings=notify.Settings(url=self._url, connect_timeout_s=0.5, command_timeout_s=0.5)) as bus:
            while not self._stop.wait(0.005):
                number += 1
                try:
                    bus.publish("t", number)
                except notify.ServerError:
                    continue
                self.acknowledged.append(number)


class Plain:
    """A subscription to ``t`` by redis-py alone, which reconnects silently. Made by `plain_subscriber`."""

    def __init__(self, client: redis.Redis) -> None:
        self.errors = 0
        self._pubsub = client.pubsub(ignore_subscribe_messages=True)
        self._pubsub.subscribe("notify:event:t")
        wait_until(lambda: client.pubsub_numsub("notify:event:t")[0][1] == 1, what="the subscription")

    def get(self, timeout_s: float) -> Any:
        """Return the contents of the next event, or ``None``. After a lost connection the next call reconnects."""
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            try:
                message = self._pubsub.get_message(timeout=left_s)
            except redis.ConnectionError:
                self.errors += 1
                continue
            if message is not None:
                return decode("t", message["data"])[0].contents
        return None

    def rest(self, *, quiet_s: float = 0.3) -> list[Any]:
        """Return the contents of all events until none comes for ``quiet_s``."""
        return list(iter(lambda: self.get(quiet_s), None))

    def close(self) -> None:
        self._pubsub.close()


@contextmanager
def plain_subscriber(client: redis.Redis) -> Iterator[Plain]:
    """A subscriber as it is usually written with redis-py. Closes the client as well."""
    with client:
        plain = Plain(client)
        try:
            yield plain
        finally:
            plain.close()


def publish_unheard(bus: notify.Bus, topic: str, contents: notify.Json) -> str:
    """Publish an event whose live message is lost, so that only the log holds it. Returns its id."""
    scripts = EventScripts(bus.redis)
    args = ["nobody:listens", topic, scripts.body(topic, contents), "", *scripts.limits()]
    event_id: bytes = scripts.run("publish", [*scripts.emit_keys(topic), bus.keys.retained(topic)], args, action="publishing unheard")
    return event_id.decode()


def trim(bus: notify.Bus, topic: str, *, keep: int) -> None:
    """Trim the log of a topic to its last ``keep`` events."""
    bus.redis.xtrim(bus.keys.log(topic), maxlen=keep, approximate=False)


def everything(client: redis.Redis) -> dict[bytes, object]:
    """Return every key of the server with its value, except the hash of the last sweep."""
    return {key: _value(client, key) for key in client.scan_iter() if not key.endswith(b":sweep")}


def _value(client: redis.Redis, key: bytes) -> object:
    """Return what a key holds. The serialized form of a hash or a set tells their order too, and rehashing changes that."""
    kind = client.type(key)
    if kind == b"hash":
        return client.hgetall(key)
    return client.smembers(key) if kind == b"set" else client.dump(key)


def commands_during(client: redis.Redis, action: Callable[[], object], *, in_scripts: bool = False) -> list[str]:
    """Return the commands that any client sends while ``action`` runs; or instead those that scripts call."""
    commands: list[str] = []
    with client.monitor() as monitor:
        client.echo("from here")
        action()
        client.echo("to here")
        while monitor.next_command()["command"] != "ECHO from here":
            pass
        while (command := monitor.next_command())["command"] != "ECHO to here":
            if (command["client_type"] == "lua") is in_scripts:
                commands.append(command["command"])
    return commands


def beat(service: notify.Service) -> None:
    """Send the heartbeat of a service now."""
    service._heartbeats.send([service._registration])


LET_PASS = """
local function turn_back(key, fields)
  for _, field in ipairs(fields) do
    if redis.call('HEXISTS', key, field) == 1 then redis.call('HINCRBY', key, field, 0 - ARGV[1]) end
  end
end
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  redis.call('ZINCRBY', KEYS[1], 0 - ARGV[1], member)
  turn_back(KEYS[3] .. string.match(member, '^(.*)#'), {'beat_ms', 'told_ms'})
end
turn_back(KEYS[2], {'grace_ms', 'held_ms', 'heard_ms', 'duty_ms', 'slot_ms', 'at_ms'})
if ARGV[2] == '1' then
  local now = redis.call('TIME')
  redis.call('HSET', KEYS[2], 'at_ms', string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000)))
  redis.call('EXPIRE', KEYS[2], 86400)
end
"""


def let_pass(bus: notify.Bus, seconds: float, *, swept: bool = True) -> None:
    """Turn back all times in the directory, as if ``seconds`` had passed; with ``swept``, as if sweeps had gone on meanwhile.

    This is one step, so the monitor of a bus never sees half of it.
    """
    bus.redis.eval(LET_PASS, 3, bus.keys.due, bus.keys.sweep, bus.keys.service(""), round(seconds * 1000), int(swept))


def server_ms(client: redis.Redis) -> int:
    """Return the clock of the server in ms."""
    seconds, microseconds = client.time()
    return int(seconds * 1000 + microseconds // 1000)
