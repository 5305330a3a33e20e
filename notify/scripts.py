"""One typed method per atomic step in Redis. The steps themselves are the ``.lua`` files beside this one."""

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

import msgspec
import redis

from notify.connection import Client, process_name
from notify.event import Event, Failure, encode
from notify.fence import Fence
from notify.keys import Keys
from notify.settings import Settings
from notify.strict_json import Json

__all__ = ["Item", "Page", "ScriptRunner", "Scripts", "limits_of", "load_script"]

HEAD_MS: Final = 30 * 86_400_000
"""How long the head of a topic outlives its last event."""

SENT_MS: Final = 86_400_000
"""How long the last batch of a publisher is remembered: longer than anybody tries to send it again."""

_INCLUDE: Final = re.compile(r"^-- include: (\w+)$", re.MULTILINE)


@cache
def load_script(package: str, name: str, prelude: str = "") -> tuple[str, str]:
    """Return the source of ``<package>/lua/<name>.lua``, after a prelude and the files it includes, and its SHA-1.

    What a first line ``-- include: part`` names lies beside it, or else in ``notify/lua``.
    """
    source = (files(package) / "lua" / f"{name}.lua").read_text()
    for part in reversed(_INCLUDE.findall(source)):
        beside = files(package) / "lua" / f"{part}.lua"
        source = (beside if beside.is_file() else files("notify") / "lua" / f"{part}.lua").read_text() + "\n" + source
    source = prelude + source
    return source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


def limits_of(settings: Settings) -> tuple[int, int, int]:
    """The limits of a topic as ``emit.lua`` takes them: length of the log, and the lifetimes of the log and of its head in ms."""
    return settings.log_length, max(1, round(settings.retention_s * 1000)), HEAD_MS


class ScriptRunner:
    """Runs the scripts of a package; loads them when the server does not have them, also after a restart.

    Args:
        client: what they run on.
        package: whose they are.
        prelude: Lua that stands before each of them.
    """

    def __init__(self, client: Client, package: str, *, prelude: str = "") -> None:
        self.client = client
        self._prelude = prelude
        self.keys = Keys(client.settings.namespace)
        self._package = package
        self._limits: list[str | int] = [*limits_of(client.settings)]

    def run(self, name: str, keys: Sequence[str], args: Sequence[str | bytes | int], *, action: str, timeout_s: float | None = None) -> Any:
        """Run a script.

        Args:
            name: the file's name without ``.lua``.
            keys: KEYS.
            args: ARGV.
            action: what is being done, for errors.
            timeout_s: for the answer, instead of that of the settings.

        Raises:
            ServerUnreachableError: no answer. The step may have happened.
            ServerRefusedError: the server answered with an error.
        """
        source, digest = load_script(self._package, name, self._prelude)
        client = self.client
        try:
            try:
                return client.exchange("EVALSHA", digest, len(keys), *keys, *args, timeout_s=timeout_s)
            except redis.exceptions.NoScriptError:
                return client.exchange("EVAL", source, len(keys), *keys, *args, timeout_s=timeout_s)
        except (redis.RedisError, OSError) as exc:
            raise client.translated(exc, action) from exc

    def source(self, name: str) -> str:
        """The text of a script."""
        return load_script(self._package, name, self._prelude)[0]

    def run_many(self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[str | bytes | int]]], *, action: str) -> list[Any]:
        """Run a script once for each (KEYS, ARGV), in one round trip; otherwise as `run`."""
        source, digest = load_script(self._package, name, self._prelude)
        with self.client.translating(action), self.client.pipeline(transaction=False) as pipe:
            for keys, args in calls:
                pipe.evalsha(digest, len(keys), *keys, *args)
            answers: list[Any] = pipe.execute(raise_on_error=False)
            for index, (answer, (keys, args)) in enumerate(zip(answers, calls, strict=True)):
                if isinstance(answer, redis.exceptions.NoScriptError):
                    answers[index] = self.client.eval(source, len(keys), *keys, *args)
                elif isinstance(answer, redis.RedisError):
                    raise answer
        return answers

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


class Scripts(ScriptRunner):
    """The atomic steps of events, and what every state depends on that is reached through them.

    Args:
        client: whose server to use.
        fences: those of every write to a state.
    """

    def __init__(self, client: Client, *, fences: tuple[Fence, ...] = ()) -> None:
        super().__init__(client, "notify")
        self.fences = fences

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

    def catch_up(self, topic: str, *, after: str, count: int) -> Page:
        """Read at most ``count`` entries of a topic's log after the bare id ``after``."""
        epoch, last, rows = self.run(
            "catch_up", [self.keys.log(topic), self.keys.topic(topic)], [after, count], action=f"reading the log of {topic!r}"
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

    def know(self, topic: str) -> None:
        """Make a topic known before its first event."""
        self.run("know", [self.keys.topics], [topic, HEAD_MS], action=f"making {topic!r} known")

    def topics(self) -> list[str]:
        """The known topics, sorted."""
        with self.client.translating("listing the topics"):
            names: Any = self.client.zrange(self.keys.topics, 0, -1)
        return sorted(map(_text, names))


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
