"""Check of the rights of the user: each command, key and channel that Notify needs.

The commands are queued in a transaction, which is discarded: the server checks the rights of a command when it queues it, and none is run.
So any user can be checked, also one that may not ask ``ACL``.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import redis

from notify.keys import Keys
from notify.server import Client, RawConnection, release_raw, take_raw
from workers import rq_keys
from workers.overview.doctor.facts import Facts
from workers.overview.doctor.finding import Finding, error, note, ok
from workers.rq import PUBSUB_CHANNEL_TEMPLATE

__all__ = ["COMMANDS", "WITHOUT_KEYS", "check_rights", "missing_rights"]

PROBE: Final = "notify-doctor"
"""The name in the keys and channels that are checked."""
COMMANDS: Final = """
append K v | del K | exists K | expire K 1 | get K | hdel K f | hexists K f | hget K f | hgetall K | hincrby K f 1 | hincrbyfloat K f 1
hkeys K | hlen K | hmget K f | hset K f v | hsetnx K f v | hstrlen K f | incr K | lindex K 0 | llen K | lpop K | lpos K v | lpush K v
lrange K 0 0 | lrem K 0 v | lset K 0 v | ltrim K 0 0 | mget K | persist K | pexpire K 1 | pttl K | rpush K v | sadd K v | scard K
set K v | sismember K v | smembers K | smismember K v | srem K v | sscan K 0 | type K | xadd K * f v | xdel K 1-1 | xlen K
xrange K - + | xread STREAMS K 0 | xtrim K MAXLEN 0 | zadd K 1 v | zcard K | zcount K 0 1 | zrange K 0 0 | zrangebyscore K 0 1 | zrem K v
zremrangebyscore K 0 1 | zscan K 0 | zscore K v | blmove K K LEFT LEFT 1 | rename K K | hscan K 0 | xinfo STREAM K | lmove K K LEFT LEFT
memory USAGE K | xrevrange K + - | zremrangebyrank K 0 0 | ttl K | watch K
"""
"""The commands with a key, which stands as ``K``, by the scripts, by the packages and by RQ."""
WITHOUT_KEYS: Final = "time | ping | eval return 0 | evalsha 0 0 | script LOAD return | scan 0 | client SETNAME n | pubsub NUMSUB"
"""The commands without a key."""

OPTIONAL: Final = ("+info", "+client|list")
"""Rights without which messages and counts are less complete."""


def check_rights(facts: Facts) -> Iterator[Finding]:
    """Name the rights that the user lacks."""
    user = _user(facts.client)
    missing = missing_rights(facts.client, facts.keys)
    optional = [right for right in OPTIONAL if "+multi" not in missing and not _may(facts.client, right)]
    if missing:
        yield error("rights", f"the user {user!r} lacks {' '.join(missing)}", f"grant them: ACL SETUSER {user} {' '.join(missing)}")
    elif not optional:
        yield ok("rights", f"the user {user!r} has all rights that are needed")
    if optional:
        remedy = f"grant them for complete messages and counts: ACL SETUSER {user} {' '.join(optional)}"
        yield note("rights", f"the user {user!r} does without {' '.join(optional)}", remedy)


def missing_rights(client: Client, keys: Keys) -> list[str]:
    """Return the rights that the user of a connection lacks, as ``ACL SETUSER`` takes them; none if it lacks none."""
    own, rq = keys.state(PROBE), rq_keys.job(PROBE)
    commands = [line.split() for line in " | ".join(COMMANDS.split("\n")).split("|") if line.strip()]
    with_key = [[own if word == "K" else word for word in command] for command in commands]
    without_key = [_words(command) for command in WITHOUT_KEYS.split(" | ")]
    refused = _refused(client, [*with_key, *without_key, ["get", own], ["get", rq], ["set", own, ""], ["set", rq, ""]])
    missing = [f"+{command[0]}" for command, reason in refused if " command" in reason]
    for key, pattern in ((own, f"~{keys.namespace}:*"), (rq, "~rq:*")):
        if any(key in command and " command" not in reason for command, reason in refused):
            missing.append(pattern)
    if "+multi" not in missing:
        missing += _missing_channels(client, keys)
    return list(dict.fromkeys(missing))


def _missing_channels(client: Client, keys: Keys) -> list[str]:
    channels = {
        keys.channel(PROBE): keys.channel("*"),
        keys.direct_channel(PROBE): keys.direct_channel("*"),
        PUBSUB_CHANNEL_TEMPLATE % PROBE: PUBSUB_CHANNEL_TEMPLATE % "*",
    }
    refused = _refused(client, [["publish", channel, ""] for channel in channels])
    rights = ["+publish" if " command" in reason else f"&{channels[command[1]]}" for command, reason in refused]
    with client.pubsub() as pubsub:  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        try:
            pubsub.subscribe(keys.channel(PROBE))
            pubsub.parse_response()
        except redis.ResponseError as refusal:
            if " command" in str(refusal):
                rights.append("+subscribe")
    return rights


def _refused(client: Client, commands: Sequence[Sequence[str]]) -> list[tuple[Sequence[str], str]]:
    """Return the commands that the user may not send, each with the reason of the server. None of them is run."""
    connection = take_raw(client.connection_pool)
    refused: list[tuple[Sequence[str], str]] = []
    try:
        answer = _answer(connection, ["multi"])
        if isinstance(answer, Exception):
            return [(["multi"], str(answer))]
        for command in commands:
            answer = _answer(connection, command)
            if isinstance(answer, redis.exceptions.NoPermissionError):
                refused.append((command, str(answer)))
        _answer(connection, ["discard"])
    finally:
        connection.disconnect()  # whatever happened, no transaction is left open
        release_raw(client.connection_pool, connection)
    return refused


def _answer(connection: RawConnection, command: Sequence[str]) -> Any:
    connection.send_command(*command)
    try:
        return connection.read_response()
    except redis.ResponseError as refusal:
        return refusal


def _may(client: Client, right: str) -> bool:
    command = right.removeprefix("+").split("|")
    return not _refused(client, [command])


def _user(client: Client) -> str:
    try:
        name: Any = client.acl_whoami()
    except redis.ResponseError:
        return str(client.connection_pool.connection_kwargs.get("username") or "default")
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def _words(command: str) -> list[str]:
    first, *rest = command.split(" ", 1)
    if first in ("eval", "evalsha"):
        return {"eval": ["eval", "return 0", "0"], "evalsha": ["evalsha", "0" * 40, "0"]}[first]
    return [first, *(rest[0].split() if rest else [])]
