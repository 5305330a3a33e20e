"""The atomic steps of the directory: one typed method per Lua script.

The methods pass announcements with placeholders, and the scripts fill them in: only a script knows the capabilities and groups that
Redis holds for a service at that instant.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
import redis

from notify.directory.changes import alarm_template, change_template
from notify.directory.info import ENTRY_FIELDS, read_entry
from notify.events import Failure, PublishingScripts
from notify.keys import SERVICES_TOPIC, any_provider
from notify.server import Client
from notify.values import Json

__all__ = ["BEATS_AT_ONCE", "Beat", "DirectoryScripts", "Incarnation", "SweepResult", "SweepSettings"]

BEATS_AT_ONCE: Final = 100
"""One script records at most this many heartbeats, and so occupies the server for about half a millisecond."""

QUIET_TTLS: Final = 10
"""For this many ttls after an announced suspicion, another suspicion of the same service is not announced."""

REGROUPED: Final = 0
"""The answer of ``withdraw.lua`` if the groups of the service have changed since they were read."""


class Incarnation(NamedTuple):
    """One registration of a service: its name, and the number of the registration."""

    name: str
    number: int


class Beat(NamedTuple):
    """The heartbeat of one incarnation of a service."""

    name: str
    incarnation: int
    ttl_ms: int


class SweepSettings(NamedTuple):
    """The settings of the sweep: times in ms, and the number and the share of suspected services above which it raises an alarm."""

    interval_ms: int
    late_ms: int
    spacing_ms: int
    standby_ms: int
    never_too_many: int
    share: float


class SweepResult(NamedTuple):
    """The result of a sweep.

    Args:
        members: the members of ``ns:due`` that are due.
        wait_ms: milliseconds until this monitor sweeps again.
        alarm: how many services are suspected, and of how many, if that raises an alarm.
    """

    members: list[bytes]
    wait_ms: int
    alarm: tuple[int, int] | None


class DirectoryEntry(NamedTuple):
    """The entry of an incarnation in the directory; all fields are empty if there is none."""

    state: str = ""
    provides: Sequence[str] = ()
    groups: Sequence[str] = ()
    groups_json: bytes = b""


class DirectoryScripts(PublishingScripts):
    """The atomic steps of the directory."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, "notify.directory")

    def register(
        self,
        name: str,
        *,
        ttl_ms: int,
        provides: Sequence[str],
        groups: Sequence[str],
        fields: dict[str, str],
        token: str = "",
        after: int = 0,
    ) -> int | None:
        """Register a service under a free name.

        If the answer was lost, register again with the same token: the answer is the incarnation of the first time.

        Args:
            name: the name of the service.
            ttl_ms: milliseconds without a heartbeat after which the service is withdrawn.
            provides, groups: its capabilities and groups.
            fields: further fields of its description.
            token: a secret of the service, which identifies it when it registers again.
            after: the last incarnation of the service; 0 before the first registration.

        Returns:
            The new incarnation, which is greater than ``after``; ``None`` if another service has the name.
        """
        keys = [self.keys.services, self.keys.due, self.keys.incarnation, self.keys.service(name), self.keys.sweep]
        args = [name, ttl_ms, *self._announce("available"), after, token]
        described = {"provides": provides, "groups": groups}
        description = {**fields, **{field: msgspec.json.encode(names).decode() for field, names in described.items() if names}}
        args += [part for field in description.items() for part in field]
        keys += [*self.emit_keys(SERVICES_TOPIC), *self._indexes(provides, groups)]
        result = self.run("register", keys, args, action=f"registering {name!r}")
        return int(result) if result else None

    def beat(self, beats: Sequence[Beat]) -> list[str]:
        """Send heartbeats. Returns for each service ``alive``, ``killed``, ``withdrawn``, ``expired`` or ``gone``."""
        answers: list[str] = []
        for first in range(0, len(beats), BEATS_AT_ONCE):
            batch = beats[first : first + BEATS_AT_ONCE]
            keys = [self.keys.due, self.keys.suspects, self.keys.services, self.keys.sweep, *self.emit_keys(SERVICES_TOPIC)]
            for beat in batch:
                keys += [self.keys.service(beat.name), self.keys.tombstone(beat.name)]
            args = [*self._announce("recovered"), *(part for beat in batch for part in beat)]
            states = self.run("beat", keys, args, action=f"sending the heartbeat of {batch[0].name!r}")
            answers += [answer.decode(errors="replace") for answer in states]
        return answers

    def regroup(self, service: Incarnation, group: str, *, joins: bool, groups: Sequence[str]) -> bool:
        """Let a service join or leave a group. ``groups`` are all groups of the service after that. Returns whether its groups changed."""
        keys = [self.keys.service(service.name), self.keys.group(group), *self.emit_keys(SERVICES_TOPIC)]
        args = [*service, "join" if joins else "leave", msgspec.json.encode(groups), *self._announce("joined" if joins else "left")]
        return bool(self.run("regroup", keys, args, action=f"changing the groups of {service.name!r}"))

    def sweep(self, *, count: int, settings: SweepSettings, stays: bool = True) -> SweepResult:
        """Return up to ``count`` members that a sweep has to look at, and when to sweep again; ``stays`` is false for a single sweep."""
        keys = [self.keys.due, self.keys.sweep, self.keys.suspects, *self.emit_keys(SERVICES_TOPIC)]
        args = [count, *map(str, settings), int(stays), *self._contents(alarm_template())]
        members, wait_ms, silent, services = self.run("sweep", keys, args, action="looking for services that are due")
        return SweepResult(members, int(wait_ms), (silent, services) if silent else None)

    def states(self, services: Sequence[Incarnation]) -> list[str]:
        """Return the state of each service, ``alive`` or ``suspect``; "" if it is not registered."""
        return [described.state for described in self._describe(services)]

    def suspect(self, services: Sequence[Incarnation]) -> list[bool]:
        """Suspect services that missed their heartbeats. Returns for each whether this call has suspected it."""
        announce = self._announce("suspect")
        calls = []
        for service in services:
            keys = [self.keys.due, self.keys.service(service.name), self.keys.suspects, self.keys.sweep, *self.emit_keys(SERVICES_TOPIC)]
            calls.append((keys, [*service, *announce, QUIET_TTLS]))
        return [bool(done) for done in self.run_many("suspect", calls, action="suspecting services")]

    def withdraw(self, services: Sequence[Incarnation], *, reason: str, why: str, only_if_due: bool) -> list[str | None]:
        """Withdraw incarnations of services.

        Args:
            services: the incarnations.
            reason: ``withdrawn``, ``killed`` or ``expired``.
            why: an explanation, published with the events.
            only_if_due: leave those out that are not due.

        Returns:
            For each the id of its status event; ``None`` if it was not registered any more, or was left out.
        """
        announce = self._announce("withdrawn", reason=reason, why=why)
        withdrawn: dict[Incarnation, str | None] = {}
        remaining = list(services)
        while remaining:
            calls = []
            for service, described in zip(remaining, self._describe(remaining), strict=True):
                keys, status = self.keys, self.keys.status_topic(service.name)
                all_keys = [keys.services, keys.due, keys.service(service.name), keys.tombstone(service.name), keys.losses]
                all_keys += [keys.suspects, keys.sweep, *self.emit_keys(SERVICES_TOPIC), keys.log(status), keys.topic(status)]
                ended = self.body(status, _failure(service.name, reason, why))
                args = [*service, reason, why, int(only_if_due), described.groups_json, *announce[:3]]
                args += [keys.channel(status), status, ended, *self.limits(), *map(any_provider, described.provides)]
                for capability in described.provides:
                    all_keys += [keys.provides(capability), keys.tombstone(any_provider(capability))]
                calls.append(([*all_keys, *map(keys.group, described.groups)], args))
            answers = self.run_many("withdraw", calls, action=f"withdrawing {remaining[0].name!r}")
            # A service that joined or left a group meanwhile is read again; otherwise it would stay in the index of a group.
            withdrawn |= {s: a.decode() if a else None for s, a in zip(remaining, answers, strict=True) if a != REGROUPED}
            remaining = [service for service in remaining if service not in withdrawn]
        return [withdrawn[service] for service in services]

    def _describe(self, services: Sequence[Incarnation]) -> list[DirectoryEntry]:
        """Return the entry of each incarnation in the directory."""
        with self.client.translating("reading the directory"), self.client.pipeline(transaction=False) as pipe:
            for service in services:
                pipe.hmget(self.keys.service(service.name), ENTRY_FIELDS)
            rows: Any = pipe.execute(raise_on_error=False)
        return [_described(service, row) for service, row in zip(services, rows, strict=True)]

    def _indexes(self, provides: Sequence[str], groups: Sequence[str]) -> list[str]:
        return [*map(self.keys.provides, provides), *map(self.keys.group, groups)]

    def _announce(self, change: str, **more: Json) -> list[str | bytes | int]:
        """Return the arguments for the announcement of a change; ``more`` as for `change_template`."""
        return self._contents(change_template(change, **more))

    def _contents(self, contents: Json) -> list[str | bytes | int]:
        """Return the channel, the topic, the body and the limits of an event on the topic of the directory."""
        return [self.keys.channel(SERVICES_TOPIC), SERVICES_TOPIC, self.body(SERVICES_TOPIC, contents), *self.limits()]


def _described(service: Incarnation, row: list[bytes | None] | Exception) -> DirectoryEntry:
    if isinstance(row, redis.ResponseError):
        return DirectoryEntry()  # the key is no hash: it was written by hand
    if isinstance(row, Exception):
        raise row
    entry = read_entry(row)
    if entry.incarnation != service.number:
        return DirectoryEntry()
    # `groups_json` is exactly what Redis holds, even if it is corrupt: the script compares it as text.
    return DirectoryEntry(entry.state, entry.provides or (), entry.groups or (), entry.groups_json)


def _failure(name: str, reason: str, why: str) -> Failure:
    """Return the contents of the event that reports the end of a service, for example ``StorageKilledError: storage killed``."""
    label = "".join(part[:1].upper() + part[1:] for part in name.replace("-", "_").split("_"))
    return Failure(f"{label}{reason.capitalize()}Error", f"{name} {reason}" + (f": {why}" if why else ""), fatal=True)
