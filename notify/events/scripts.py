"""The Lua scripts of events, one typed method per script.

The *head* of a topic is the hash with the epoch of its log and the id of its last event. It expires 30 days after that event, and never
before the log.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec

from notify.errors import ServerRefusedError
from notify.events.event import Event, Failure, encode, is_bare_id
from notify.history import history_prelude
from notify.keys import Keys
from notify.process import NO_TRACE, UNTRACED, Trace, is_traced, sending
from notify.server import Client, ScriptRunner, is_of_another_type, process_name
from notify.settings import Settings
from notify.values import Json

__all__ = ["EventScripts", "Item", "Page", "PublishingScripts", "limits_of"]

HEAD_MS: Final = 30 * 86_400_000
"""Lifetime of the head of a topic after its last event, at least."""

TOUCHED_MS: Final = 61_000
"""A topic that has events moves its score in ``ns:topics`` at least this often; ``parts/append.lua`` does so once a minute."""

HEADS_AT_ONCE: Final = 100
"""The most topics whose heads and retained events are read in one transaction: the server does nothing else meanwhile."""

READ_BYTES: Final = 1024 * 1024
"""The page of a log ends with the entries that reach this size; the server takes two or three milliseconds for it."""

SENT_MS: Final = 86_400_000
"""Lifetime of the number of a publisher's last batch. A batch that is sent again within this time is not published twice."""


def limits_of(settings: Settings) -> tuple[int, int, int]:
    """Return the limits of a topic for ``parts/append.lua``: length of the log, and the lifetimes of the log and of its head in ms."""
    log_ms = max(1, round(settings.retention_s * 1000))
    return settings.log_length, log_ms, max(HEAD_MS, log_ms)  # a head that ends before its log would begin a new epoch


@cache
def _prelude(settings: Settings, keys: Keys) -> str:
    """Return what stands before all scripts that publish events."""
    return f"local LOG_BYTES = {settings.log_bytes}\n{history_prelude(settings, keys)}"


class PublishingScripts(ScriptRunner):
    """The base class for scripts that publish events. Arguments as for `ScriptRunner`."""

    def __init__(self, client: Client, package: str, *, prelude: str = "") -> None:
        super().__init__(client, package, prelude=_prelude(client.settings, client.own_keys) + prelude)
        self._limits: list[str | int] = [*limits_of(client.settings)]

    def emit_keys(self, topic: str) -> list[str]:
        """Return the KEYS for a script that publishes on a topic: log, head, topics."""
        return [self.keys.log(topic), self.keys.topic(topic), self.keys.topics]

    def body(self, topic: str, contents: Json | Failure) -> bytes:
        """Return an event for a script to publish, as JSON without its stamp."""
        event = Event(topic=topic, contents=contents, source=process_name())
        return encode(event, max_bytes=self.client.settings.max_payload_bytes)

    def limits(self) -> list[str | int]:
        """Return the limits of a topic as three ARGV: length, log_ms, head_ms."""
        return self._limits


class Page(msgspec.Struct, frozen=True):
    """A page of a topic's log.

    Args:
        epoch, last: the head of the topic; ``None`` if there was no event yet, or the head has expired.
        entries: the entries, each as (id, id of the event before, epoch, event as JSON without its stamp).
        more: whether there may be more entries after these.
    """

    epoch: str | None
    last: str | None
    entries: list[tuple[str, str, str, bytes]]
    more: bool = False


class Item(NamedTuple):
    """One event of a batch.

    Args:
        topic: the topic.
        body: the event as JSON, without its stamp.
        retain_ms: lifetime of the event as retained event, in ms; -1 without limit, 0 deletes the retained event, ``None`` leaves it alone.
        trace: what the event carries of a span; the span of its batch has a link to that.
    """

    topic: str
    body: bytes
    retain_ms: int | None
    trace: Trace = NO_TRACE


class EventScripts(PublishingScripts):
    """Runs the scripts of events, and reads the heads of topics."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, "notify.events")

    def publish(self, topic: str, body: bytes, *, retain_ms: int | None = None, once: str | None = None) -> str:
        """Append one event to the log and publish it. Returns its id.

        Args:
            topic: the topic.
            body: the event as JSON, without its stamp.
            retain_ms: as in `Item`.
            once: an idempotency key; if it was used before, nothing is published, and the id of the first event is returned.
        """
        keys = self.keys
        all_keys = [keys.log(topic), keys.topic(topic), keys.topics, keys.retained(topic)]
        args = [keys.channel(topic), topic, body, "" if retain_ms is None else str(retain_ms), *self.limits()]
        if once is not None:
            all_keys.append(keys.once(topic, once))
            args.append(self._limits[1])
        return _text(self.run("publish", all_keys, args, action=f"publishing on {topic!r}"))

    def publish_many(self, publisher: str, batch: int, items: Sequence[Item]) -> list[tuple[int, str]]:
        """Publish a batch of events; if it is sent again, it is not published again. Returns index and error of each refused event."""
        with sending([*dict.fromkeys(item.topic for item in items)], [item.trace for item in items]) if is_traced() else UNTRACED:
            if len(items) == 1 and self._publish_alone(publisher, batch, items[0]):
                return []
            return self._publish_batch(publisher, batch, items)

    def _publish_batch(self, publisher: str, batch: int, items: Sequence[Item]) -> list[tuple[int, str]]:
        keys = self.keys
        numbers = {topic: number for number, topic in enumerate(dict.fromkeys(item.topic for item in items), 1)}
        all_keys = [keys.sent(publisher), keys.topics]
        args: list[str | bytes | int] = [batch, SENT_MS, *self.limits(), len(numbers)]
        for topic in numbers:
            all_keys += [keys.log(topic), keys.topic(topic), keys.retained(topic)]
            args += [keys.channel(topic), topic]
        for topic, body, retain_ms, _ in items:
            args += (numbers[topic], body, "" if retain_ms is None else retain_ms)
        refused = self.run("publish_many", all_keys, args, action=f"publishing {len(items)} events")
        return [(int(index), _text(problem)) for index, problem in refused]

    def _publish_alone(self, publisher: str, batch: int, item: Item) -> bool:
        """Publish a batch of one event by the script for single events, which takes less time. Returns whether the server took it."""
        topic, body, retain_ms, _ = item
        keys = self.keys
        all_keys = [keys.log(topic), keys.topic(topic), keys.topics, keys.retained(topic), keys.sent(publisher)]
        args = [keys.channel(topic), topic, body, "" if retain_ms is None else str(retain_ms), *self.limits(), SENT_MS, batch]
        try:
            self.run("publish", all_keys, args, action=f"publishing on {topic!r}")
        except ServerRefusedError:
            return False  # the script for batches tells whether the event is refused, or the server
        return True

    def read_log(self, topic: str, *, after: str, count: int) -> Page:
        """Return up to ``count`` entries of a topic's log after the bare id ``after``; fewer if they reach `READ_BYTES`."""
        keys = [self.keys.log(topic), self.keys.topic(topic)]
        epoch, last, rows, more = self.run("read_log", keys, [after, count, READ_BYTES], action=f"reading the log of {topic!r}")
        entries = []
        for entry_id, fields in rows:
            named = dict(zip(fields[::2], fields[1::2], strict=True))
            # An entry that was added by hand lacks fields; readers skip entries without the epoch of the log.
            prev, entry_epoch, data = (named.get(name, b"") for name in (b"prev", b"epoch", b"data"))
            entries.append((_text(entry_id), _id(prev) or "", _text(entry_epoch), data))
        return Page(_text(epoch) if epoch else None, _id(last), entries, bool(more))

    def heads_and_retained(self, topics: Sequence[str]) -> list[tuple[str | None, str | None, bytes | None]]:
        """Return (epoch, last, retained event as JSON) of each topic; those of one topic are read at one instant."""
        found = []
        for first in range(0, len(topics), HEADS_AT_ONCE):
            with self.client.translating("reading the heads of the topics"), self.client.pipeline(transaction=True) as pipe:
                for topic in topics[first : first + HEADS_AT_ONCE]:
                    pipe.hmget(self.keys.topic(topic), "epoch", "last")
                    pipe.get(self.keys.retained(topic))
                rows = pipe.execute(raise_on_error=False)
                found += [(*_head(head), _readable(event)) for head, event in zip(rows[::2], rows[1::2], strict=True)]
        return found

    def retained(self, topics: Sequence[str]) -> list[bytes | None]:
        """Return the retained event of each topic, as JSON; ``None`` if there is none."""
        with self.client.translating("reading the retained events"):
            events: Any = self.client.mget([self.keys.retained(topic) for topic in topics]) if topics else []
        return list(events)

    def delete_retained(self, events: Mapping[str, bytes]) -> list[str]:
        """Delete the retained events of topics that are still the given ones (topic → JSON). Returns the topics."""
        topics = list(events)
        keys = [self.keys.retained(topic) for topic in topics]
        numbers = self.run("delete_retained", keys, list(events.values()), action="deleting retained events") if topics else []
        return [topics[int(number) - 1] for number in numbers]

    def heads(self, topics: Sequence[str]) -> list[tuple[str | None, str | None]]:
        """Return the head of each topic as (epoch, last), in one round trip."""
        with self.client.translating("reading the heads of the topics"), self.client.pipeline(transaction=False) as pipe:
            for topic in topics:
                pipe.hmget(self.keys.topic(topic), "epoch", "last")
            return [_head(row) for row in pipe.execute(raise_on_error=False)]

    def declare_topic(self, topic: str) -> None:
        """Add a topic to the known topics before its first event."""
        self.run("declare_topic", [self.keys.topics], [topic, HEAD_MS], action=f"declaring the topic {topic!r}")

    def topics_since(self, since_ms: float) -> tuple[list[str], int]:
        """Return the topics that may have had an event since a time of the server, and the time until which that is known.

        Args:
            since_ms: milliseconds of the server's clock. If the clock was put back meanwhile, the time of now counts instead.
        """
        with self.client.translating("listing the topics with new events"):
            seconds, microseconds = self.client.time()
            now_ms = int(seconds) * 1000 + int(microseconds) // 1000
            names: Any = self.client.zrangebyscore(self.keys.topics, min(since_ms, now_ms) - TOUCHED_MS, "+inf")
        return list(map(_text, names)), now_ms

    def topics(self) -> list[str]:
        """Return the known topics, sorted."""
        with self.client.translating("listing the topics"):
            names: Any = self.client.zrange(self.keys.topics, 0, -1)
        return sorted(map(_text, names))


def _head(row: Any) -> tuple[str | None, str | None]:
    """Return the epoch and the last id in an answer about a head; the head of a topic whose key holds something else is none."""
    epoch, last = _readable(row) or (None, None)
    return epoch and _text(epoch), _id(last)


def _readable(answer: Any) -> Any:
    """Return an answer; ``None`` if the key holds another type. Any other refusal is raised."""
    if not isinstance(answer, Exception):
        return answer
    if not is_of_another_type(answer):
        raise answer
    return None


def _id(value: bytes | None) -> str | None:
    """Return the id of an entry; ``None`` if another program wrote something else."""
    text = _text(value or b"")
    return text if is_bare_id(text) else None


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
