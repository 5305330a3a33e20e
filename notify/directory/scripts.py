"""The atomic steps of the directory: one typed method per Lua script.

The methods pass announcements with placeholders, and the scripts fill them in: only a script knows the capabilities and groups that
Redis holds for a service at that instant.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from notify.directory.changes import alarm_template
from notify.directory.withdrawal import Incarnation, WithdrawalScripts, description_args
from notify.keys import SERVICES_TOPIC

__all__ = ["BEATS_AT_ONCE", "Beat", "DirectoryScripts", "Incarnation", "SweepResult", "SweepSettings"]

BEATS_AT_ONCE: Final = 100
"""One script records at most this many heartbeats, and so occupies the server for about half a millisecond."""

QUIET_TTLS: Final = 10
"""For this many ttls after an announced suspicion, another suspicion of the same service is not announced."""


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


class DirectoryScripts(WithdrawalScripts):
    """The atomic steps of the directory."""

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
        waits_for: str = "",
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
            waits_for: the name of another service that this one gets when that one is withdrawn; "" if it waits for none.

        Returns:
            The new incarnation, which is greater than ``after``; ``None`` if another service has the name, or none has the name
            that it would wait for.
        """
        keys = [self.keys.services, self.keys.due, self.keys.incarnation, self.keys.service(name), self.keys.sweep]
        args = [name, ttl_ms, *self._announce("available"), after, token, waits_for, *description_args(provides, groups, fields)]
        keys += [self.keys.standby(waits_for or name), *self.emit_keys(SERVICES_TOPIC), *self._indexes(provides, groups)]
        result = self.run("register", keys, args, action=f"registering {name!r}")
        return int(result) if result else None

    def beat(self, beats: Sequence[Beat], *, timeout_s: float | None = None) -> list[str]:
        """Send heartbeats, and wait at most ``timeout_s`` seconds for the answer, by default as the settings say.

        Returns:
            For each service ``alive``, ``killed``, ``withdrawn``, ``expired`` or ``gone``.
        """
        answers: list[str] = []
        for first in range(0, len(beats), BEATS_AT_ONCE):
            batch = beats[first : first + BEATS_AT_ONCE]
            keys = [self.keys.due, self.keys.suspects, self.keys.services, self.keys.sweep, *self.emit_keys(SERVICES_TOPIC)]
            for beat in batch:
                keys += [self.keys.service(beat.name), self.keys.tombstone(beat.name)]
            args = [*self._announce("recovered"), *(part for beat in batch for part in beat)]
            states = self.run("beat", keys, args, action=f"sending the heartbeat of {batch[0].name!r}", timeout_s=timeout_s)
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
