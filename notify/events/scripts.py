"""One typed method per atomic step of events. The steps themselves are the ``.lua`` files beside this one."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from notify.events.event import Event, Failure, encode
from notify.events.strict_json import Json
from notify.server import Client, ScriptRunner, process_name
from notify.settings import Settings

__all__ = ["EventScripts", "Item", "Page", "PublishingScripts", "limits_of"]

HEAD_MS: Final = 30 * 86_400_000
"""How long the head of a topic outlives its last event."""

SENT_MS: Final = 86_400_000
"""How long the last batch of a publisher is remembered: longer than anybody tries to send it again."""


def limits_of(settings: Settings) -> tuple[int, int, int]:
    """The limits of a topic as ``parts/append.lua`` takes them: length of the log, and the lifetimes of the log and of its head in ms."""
    return settings.log_length, max(1, round(settings.retention_s * 1000)), HEAD_MS


class PublishingScripts(ScriptRunner):
    """Runs scripts that publish events among other things; arguments as for `ScriptRunner`."""

    def __init__(self, client: Client, package: str, *, prelude: str = "") -> None:
        super().__init__(client, package, prelude=prelude)
        self._limits: list[str | int] = [*limits_of(client.settings)]

    def emit_keys(self, topic: str) -> list[str]:
        """The keys through which a script publishes on a topic."""
        return [self.keys.log(topic), self.keys.topic(topic), self.keys.topics]

    def body(self, topic: str, contents: Json | Failure) -> bytes:
        """The event that a script publishes itself, as JSON without its stamp."""
        event = Event(topic=topic, contents=contents, source=process_name())
        return encode(event, max_bytes=self.client.settings.max_payload_bytes)

    def limits(self) -> list[str | int]:
        """The three arguments that ``emit`` calls limits."""
        return self._limits


class Page(msgspec.Struct, frozen=True):
    """A page of a topic's log: where the log stands (``None``: there is none), and the entries as (id, prev, epoch, data)."""

    epoch: str | None
    last: str | None
    entries: list[tuple[str, str, str, bytes]]


class Item(NamedTuple):
    """An event on its way: topic, body without stamp, and lifetime as retained value as in ``publish.lua``."""

    topic: str
    body: bytes
    retain_ms: int | None


class EventScripts(PublishingScripts):
    """The atomic steps of events."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, "notify.events")

    def publish(self, topic: str, body: bytes, *, retain_ms: int | None = None, once: str | None = None) -> str:
        """Log and publish one event; ``retain_ms`` as in ``publish.lua``, ``once`` an idempotency key. Returns its id."""
        keys = self.keys
        all_keys = [keys.log(topic), keys.topic(topic), keys.topics, keys.retained(topic)]
        args = [keys.channel(topic), topic, body, "" if retain_ms is None else str(retain_ms), *self.limits()]
        if once is not None:
            all_keys.append(keys.once(topic, once))
            args.append(self._limits[1])
        return _text(self.run("publish", all_keys, args, action=f"publishing on {topic!r}"))

    def publish_many(self, publisher: str, batch: int, items: Sequence[Item]) -> list[tuple[int, str]]:
        """Publish a batch, once however often it is sent. Returns place and problem of those that were refused."""
        keys = self.keys
        numbers = {topic: number for number, topic in enumerate(dict.fromkeys(item.topic for item in items), 1)}
        all_keys = [keys.sent(publisher), keys.topics]
        args: list[str | bytes | int] = [batch, SENT_MS, *self.limits(), len(numbers)]
        for topic in numbers:
            all_keys += [keys.log(topic), keys.topic(topic), keys.retained(topic)]
            args += [keys.channel(topic), topic]
        for topic, body, retain_ms in items:
            args += (numbers[topic], body, "" if retain_ms is None else retain_ms)
        refused = self.run("publish_many", all_keys, args, action=f"publishing {len(items)} events")
        return [(int(index), _text(problem)) for index, problem in refused]

    def read_log(self, topic: str, *, after: str, count: int) -> Page:
        """Read at most ``count`` entries of a topic's log after the bare id ``after``."""
        epoch, last, rows = self.run(
            "read_log", [self.keys.log(topic), self.keys.topic(topic)], [after, count], action=f"reading the log of {topic!r}"
        )
        entries = []
        for entry_id, fields in rows:
            named = dict(zip(fields[::2], fields[1::2], strict=True))
            # What was added by hand lacks them; without our epoch it is passed over.
            prev, entry_epoch, data = (named.get(name, b"") for name in (b"prev", b"epoch", b"data"))
            entries.append((_text(entry_id), _text(prev), _text(entry_epoch), data))
        return Page(_text(epoch) if epoch else None, _text(last) if last else None, entries)

    def standing(self, topics: Sequence[str]) -> list[tuple[str | None, str | None, bytes | None]]:
        """Where the logs of topics stand, as (epoch, last), and what is retained there: all at one instant."""
        with self.client.translating("reading where the logs stand"), self.client.pipeline(transaction=True) as pipe:
            for topic in topics:
                pipe.hmget(self.keys.topic(topic), "epoch", "last")
                pipe.get(self.keys.retained(topic))
            rows = pipe.execute()
        return [(epoch and _text(epoch), last and _text(last), kept) for (epoch, last), kept in zip(rows[::2], rows[1::2], strict=True)]

    def heads(self, topics: Sequence[str]) -> list[tuple[str | None, str | None]]:
        """Where the logs of topics stand, as (epoch, last); one round trip."""
        with self.client.translating("reading where the logs stand"), self.client.pipeline(transaction=False) as pipe:
            for topic in topics:
                pipe.hmget(self.keys.topic(topic), "epoch", "last")
            return [(epoch and _text(epoch), last and _text(last)) for epoch, last in pipe.execute()]

    def declare_topic(self, topic: str) -> None:
        """Make a topic known before its first event."""
        self.run("declare_topic", [self.keys.topics], [topic, HEAD_MS], action=f"making {topic!r} known")

    def topics(self) -> list[str]:
        """The known topics, sorted."""
        with self.client.translating("listing the topics"):
            names: Any = self.client.zrange(self.keys.topics, 0, -1)
        return sorted(map(_text, names))


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
