"""The steps that take a service out of the directory: its name ends, goes to a standby that waits for it, or to a newcomer.

A standby is a service that runs under a name with a suffix and waits for the name without it. The script that withdraws the holder
gives the name to the standby that has waited longest and still sends heartbeats.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
import redis

from notify.directory.changes import change_template
from notify.directory.info import ENTRY_FIELDS, read_entry
from notify.events import Failure, PublishingScripts
from notify.keys import SERVICES_TOPIC, any_provider, due_member, parse_due_member
from notify.server import Client, whole
from notify.values import Json

__all__ = ["DirectoryEntry", "Incarnation", "NewService", "WithdrawalScripts", "description_args"]

CHANGED: Final = 0
"""The answer of ``withdraw.lua`` if the groups of the service, or the standbys of its name, have changed since they were read."""
MOST_STANDBYS: Final = 10
"""So many standbys of one name are looked at. The script compares them, and has the same number."""

Block = tuple[list[str], list[str | bytes | int]]
"""The KEYS and ARGV of one service that is to be withdrawn, as ``parts/withdrawal.lua`` reads them."""


class Incarnation(NamedTuple):
    """One registration of a service: its name, and the number of the registration."""

    name: str
    number: int


class DirectoryEntry(NamedTuple):
    """The entry of an incarnation in the directory; all fields are empty if there is none."""

    state: str = ""
    provides: Sequence[str] = ()
    groups: Sequence[str] = ()
    groups_json: bytes = b""
    standby: str = ""


class NewService(NamedTuple):
    """A service that registers; see `DirectoryScripts.register`."""

    name: str
    ttl_ms: int
    provides: Sequence[str]
    groups: Sequence[str]
    fields: dict[str, str]
    token: str
    after: int


class Standbys(NamedTuple):
    """The standbys of one name: the members of its list, and the one that is to have the name, if there is one."""

    members: Sequence[str] = ()
    first: Incarnation | None = None
    entry: DirectoryEntry = DirectoryEntry()


class WithdrawalScripts(PublishingScripts):
    """The steps that withdraw services."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, "notify.directory")

    def withdraw(self, services: Sequence[Incarnation], *, reason: str, why: str, only_if_due: bool) -> list[str | None]:
        """Withdraw incarnations of services. A standby gets the name in the same step.

        Args:
            services: the incarnations.
            reason: ``withdrawn``, ``killed`` or ``expired``.
            why: an explanation, published with the events.
            only_if_due: leave those out that are not due.

        Returns:
            For each the id of its status event; ``None`` if it was not registered any more, or was left out.
        """
        withdrawn: dict[Incarnation, str | None] = {}
        remaining = list(services)
        while remaining:
            calls, standbys = [], self._standbys(remaining)
            for service, entry, waiting in zip(remaining, self._describe(remaining), standbys, strict=True):
                keys, args = self._leaver(service, entry, reason, why)
                if waiting.first is not None:
                    why_moved = f"{waiting.first.name} is {service.name} now"
                    more_keys, more_args = self._leaver(waiting.first, waiting.entry, "promoted", why_moved)
                    member = due_member(*waiting.first)
                    keys, args = [*keys, *more_keys, self.keys.requests(member), self.keys.promoted(member)], [*args, *more_args]
                before = [int(only_if_due), " ".join(waiting.members), *self._announce("available")]
                calls.append(([*self._common_keys(service.name, self.keys.sweep), *keys], [*before, *args]))
            answers = self.run_many("withdraw", calls, action=f"withdrawing {remaining[0].name!r}")
            # What has changed meanwhile is read again: otherwise the service would stay in the index of a group, or a standby wait on.
            withdrawn |= {s: a.decode() if a else None for s, a in zip(remaining, answers, strict=True) if a != CHANGED}
            remaining = [service for service in remaining if service not in withdrawn]
        return [withdrawn[service] for service in services]

    def take_over(self, old: Incarnation, new: NewService, *, reason: str, why: str) -> int | None:
        """Withdraw an incarnation, and register a service in the same step: under the same name, or under one that is free.

        Args:
            old: the incarnation to withdraw.
            new: the service to register.
            reason: ``expired``, or ``promoted`` if the service goes on under the new name.
            why: an explanation, published with the events.

        Returns:
            The new incarnation; ``None`` if nothing was done: the old one does not hold its name any more or joined a group just now,
            a standby waits for the name, or another service has it.
        """
        (entry,) = self._describe([old])
        leaving_keys, leaving_args = self._leaver(old, entry, reason, why)
        keys = [
            *self._common_keys(new.name, self.keys.service(new.name), self.keys.sweep),
            *leaving_keys,
            *self._indexes(new.provides, new.groups),
        ]
        args = [new.name, new.ttl_ms, new.after, new.token, *self._announce("available"), *leaving_args]
        args += description_args(new.provides, new.groups, new.fields)
        result = self.run("take_over", keys, args, action=f"registering {new.name!r}")
        return int(result) if result else None

    def _common_keys(self, name: str, *own: str) -> list[str]:
        """Return the first KEYS of ``withdraw`` and ``take_over``; ``own`` are those that only that script has."""
        keys = self.keys
        common = [keys.services, keys.due, keys.losses, keys.suspects, keys.incarnation, keys.standby(name), *own]
        return [*common, *self.emit_keys(SERVICES_TOPIC)]

    def _leaver(self, service: Incarnation, entry: DirectoryEntry, reason: str, why: str) -> Block:
        name, keys, status = service.name, self.keys, self.keys.status_topic(service.name)
        all_keys = [keys.service(name), keys.tombstone(name), keys.standby(entry.standby or name), keys.log(status), keys.topic(status)]
        for capability in entry.provides:
            all_keys += [keys.provides(capability), keys.tombstone(any_provider(capability))]
        more: dict[str, Json] = {"became": "@became@"} if reason == "promoted" else {}
        announced = self.body(SERVICES_TOPIC, change_template("withdrawn", **more, reason=reason, why=why))
        ended = self.body(status, why if reason == "promoted" else _failure(name, reason, why))
        args: list[str | bytes | int] = [*service, entry.groups_json, reason, why, announced, keys.channel(status), status, ended]
        args += [len(entry.provides), len(entry.groups), *map(any_provider, entry.provides)]
        return [*all_keys, *map(keys.group, entry.groups)], args

    def _describe(self, services: Sequence[Incarnation]) -> list[DirectoryEntry]:
        """Return the entry of each incarnation in the directory."""
        with self.client.translating("reading the directory"), self.client.pipeline(transaction=False) as pipe:
            for service in services:
                pipe.hmget(self.keys.service(service.name), ENTRY_FIELDS)
            rows: Any = pipe.execute(raise_on_error=False)
        return [_described(service, row) for service, row in zip(services, rows, strict=True)]

    def _standbys(self, services: Sequence[Incarnation]) -> list[Standbys]:
        """Return the standbys of the name of each service."""
        with self.client.translating("reading the directory"), self.client.pipeline(transaction=False) as pipe:
            for service in services:
                pipe.zrange(self.keys.standby(service.name), 0, MOST_STANDBYS - 1)
            rows: Any = pipe.execute(raise_on_error=False)
        pairs = zip(services, rows, strict=True)
        return [self._choose(service.name, row) if row and isinstance(row, list) else Standbys() for service, row in pairs]

    def _choose(self, name: str, listed: list[bytes]) -> Standbys:
        """Return the standbys of a name, with the first one whose heartbeat is not overdue. Removes those that are not registered."""
        members = [member.decode(errors="replace") for member in listed]
        services = [_incarnation(member) for member in members]
        with self.client.translating("reading the directory"), self.client.pipeline(transaction=False) as pipe:
            pipe.time()
            for service in services:
                pipe.hmget(self.keys.service(service.name), "beat_ms", "ttl_ms")
            (seconds, micros), *rows = pipe.execute(raise_on_error=False)
        entries, now_ms = self._describe(services), seconds * 1000 + micros // 1000
        first: tuple[Incarnation, DirectoryEntry] | None = None
        for member, service, entry, row in zip(listed, services, entries, rows, strict=True):
            if not entry.state:
                self.client.zrem(self.keys.standby(name), member)
            elif isinstance(row, list) and first is None and whole(row[0], 0) + whole(row[1], 0) > now_ms:
                first = service, entry
        return Standbys(members, *(first or ()))

    def _indexes(self, provides: Sequence[str], groups: Sequence[str]) -> list[str]:
        return [*map(self.keys.provides, provides), *map(self.keys.group, groups)]

    def _announce(self, change: str, **more: Json) -> list[str | bytes | int]:
        """Return the arguments for the announcement of a change; ``more`` as for `change_template`."""
        return self._contents(change_template(change, **more))

    def _contents(self, contents: Json) -> list[str | bytes | int]:
        """Return the channel, the topic, the body and the limits of an event on the topic of the directory."""
        return [self.keys.channel(SERVICES_TOPIC), SERVICES_TOPIC, self.body(SERVICES_TOPIC, contents), *self.limits()]


def _incarnation(member: str) -> Incarnation:
    try:
        return Incarnation(*parse_due_member(member))
    except ValueError:
        return Incarnation("", 0)  # written by hand


def description_args(provides: Sequence[str], groups: Sequence[str], fields: dict[str, str]) -> list[str]:
    """Return the fields of a description as ARGV: field, value, ..."""
    described = {"provides": provides, "groups": groups}
    description = {**fields, **{field: msgspec.json.encode(names).decode() for field, names in described.items() if names}}
    return [part for field in description.items() for part in field]


def _described(service: Incarnation, row: list[bytes | None] | Exception) -> DirectoryEntry:
    if isinstance(row, redis.ResponseError):
        return DirectoryEntry()  # the key is no hash: it was written by hand
    if isinstance(row, Exception):
        raise row
    entry = read_entry(row)
    if entry.incarnation != service.number:
        return DirectoryEntry()
    # `groups_json` is exactly what Redis holds, even if it is corrupt: the script compares it as text.
    return DirectoryEntry(entry.state, entry.provides or (), entry.groups or (), entry.groups_json, entry.standby)


def _failure(name: str, reason: str, why: str) -> Failure:
    """Return the contents of the event that reports the end of a service, for example ``StorageKilledError: storage killed``."""
    label = "".join(part[:1].upper() + part[1:] for part in name.replace("-", "_").split("_"))
    return Failure(f"{label}{reason.capitalize()}Error", f"{name} {reason}" + (f": {why}" if why else ""), fatal=True)
