"""Spoils what Redis holds: values that no program of ours writes, in every field, member, score and entry of a key, and another type."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import redis

DEEP = 100_000

VALUES: dict[str, bytes] = {
    "empty": b"",
    "nan": b"nan",
    "inf": b"inf",
    "minus inf": b"-inf",
    "1e999": b"1e999",
    "10**17": b"1" + b"0" * 17,
    "10**400": b"1" + b"0" * 400,
    "negative": b"-7",
    "hex": b"0x10",
    "fraction": b"1.5",
    "deep": b"[" * DEEP + b"]" * DEEP,
    "deep object": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "no json": b'{"a":',
    "another json": b'[{"a":null}]',
    "json with nan": b'{"svc":NaN,"absent":1e999}',
    "surrogate": rb'{"svc\ud800":1}',
    "no utf-8": b"\xff\xfe\x80",
    "long": b"x" * 1_000_000,
    "control": b"\x1b[2Jbad\r\n\t\x07",
}
SCORES: dict[str, float] = {"inf": float("inf"), "minus inf": float("-inf"), "1e300": 1e300, "negative": -7, "fraction": 0.5}
OTHER_TYPES: dict[str, Callable[[Any, bytes], Any]] = {
    "string": lambda client, key: client.set(key, b"spoilt"),
    "list": lambda client, key: client.rpush(key, b"spoilt"),
    "hash": lambda client, key: client.hset(key, b"spoilt", b"spoilt"),
    "set": lambda client, key: client.sadd(key, b"spoilt"),
    "zset": lambda client, key: client.zadd(key, {b"spoilt": 1}),
    "stream": lambda client, key: client.xadd(key, {b"spoilt": b"spoilt"}),
}


class Spoiling(NamedTuple):
    """One way to spoil one place in Redis.

    Args:
        place: the place as text, such as ``rq:job:a timeout``.
        what: the name of the value.
        spoil: does it.
    """

    place: str
    what: str
    spoil: Callable[[], Any]

    @property
    def changes_type(self) -> bool:
        return self.what.startswith("type ")


def spoilings(client: redis.Redis, key: bytes) -> Iterator[Spoiling]:
    """All ways to spoil a key that is there. What a key holds is read from Redis, so a new field of ours is covered at once."""
    kind = client.type(key).decode()  # type: ignore[union-attr]  # redis-py cannot say which of its clients it is
    name = key.decode(errors="replace")
    for other, write in OTHER_TYPES.items():
        if other != kind:
            yield Spoiling(name, f"type {other}", lambda write=write: (client.delete(key), write(client, key)))  # type: ignore[misc]
    yield from _INSIDE.get(kind, _inside_string)(client, key, name)


def _inside_hash(client: Any, key: bytes, name: str) -> Iterator[Spoiling]:
    for field in client.hkeys(key):
        place = f"{name} {field.decode(errors='replace')}"
        yield Spoiling(place, "missing", lambda field=field: client.hdel(key, field))
        for what, value in VALUES.items():
            yield Spoiling(place, what, lambda field=field, value=value: client.hset(key, field, value))
    for what, value in VALUES.items():
        yield Spoiling(f"{name} another field", what, lambda value=value: client.hset(key, value, value))


def _inside_zset(client: Any, key: bytes, name: str) -> Iterator[Spoiling]:
    for member, score in client.zrange(key, 0, 0, withscores=True):
        for what, spoilt in SCORES.items():
            yield Spoiling(f"{name} score", what, lambda spoilt=spoilt, member=member: client.zadd(key, {member: spoilt}))
        for what, value in VALUES.items():
            yield Spoiling(f"{name} member", what, lambda value=value, score=score: client.zadd(key, {value: score}))


def _inside_set(client: Any, key: bytes, name: str) -> Iterator[Spoiling]:
    for what, value in VALUES.items():
        yield Spoiling(f"{name} member", what, lambda value=value: client.sadd(key, value))


def _inside_list(client: Any, key: bytes, name: str) -> Iterator[Spoiling]:
    for what, value in VALUES.items():
        yield Spoiling(f"{name} entry", what, lambda value=value: client.lpush(key, value))


def _inside_string(client: Any, key: bytes, name: str) -> Iterator[Spoiling]:
    for what, value in VALUES.items():
        yield Spoiling(name, what, lambda value=value: client.set(key, value))


def _inside_stream(client: Any, key: bytes, name: str) -> Iterator[Spoiling]:
    for _, fields in client.xrevrange(key, count=1):
        for field in fields:
            place = f"{name} {field.decode(errors='replace')}"
            rest = {name: value for name, value in fields.items() if name != field}
            yield Spoiling(place, "missing", lambda rest=rest: client.xadd(key, rest or {b"another": b"field"}))
            for what, value in VALUES.items():
                yield Spoiling(place, what, lambda field=field, value=value, fields=fields: client.xadd(key, {**fields, field: value}))


_INSIDE: dict[str, Callable[[Any, bytes, str], Iterator[Spoiling]]] = {
    "hash": _inside_hash,
    "zset": _inside_zset,
    "set": _inside_set,
    "list": _inside_list,
    "stream": _inside_stream,
}


class Snapshot:
    """All that a database holds, to be put back after something in it was spoilt."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._kept = {key: (client.dump(key), max(0, client.pttl(key))) for key in client.scan_iter()}

    @property
    def keys(self) -> list[bytes]:
        return sorted(self._kept)

    def restore(self) -> None:
        """Put everything back as it was."""
        with self._client.pipeline() as pipe:
            pipe.flushdb()
            for key, (dump, ttl_ms) in self._kept.items():
                pipe.restore(key, ttl_ms, dump)
            pipe.execute()
