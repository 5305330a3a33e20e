"""Registration of a service in the directory: its name, its incarnation, and its description."""

import secrets
from collections.abc import Collection
from typing import Any, Final

from notify.directory import (
    Beat,
    Directory,
    DirectoryScripts,
    Incarnation,
    check_address,
    check_metadata,
    check_name,
    check_ttl,
    own_fields,
)
from notify.errors import ServiceNameTakenError, ServiceNotFoundError
from notify.server import Client

__all__ = ["Registration"]

CHUNK: Final = 100
"""This many names (``name``, ``name-2``, ``name-3``, ...) are looked up in one round trip to find a free one."""


class Registration:
    """Registers a service, and registers it again when the directory has lost it: as a new incarnation with the same description.

    Arguments and errors are those of `Service`.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        *,
        provides: Collection[str],
        groups: Collection[str],
        ttl_s: float,
        exclusive: bool,
        metadata: dict[str, str] | None,
        address: str,
        exports: Collection[str] = (),
    ) -> None:
        self._scripts = DirectoryScripts(client)
        self._directory = Directory(client)
        self._wanted_name = check_name(name)
        self._exclusive = exclusive
        self._metadata = check_metadata({} if metadata is None else metadata)
        self._address = check_address(address)
        self._exports = exports
        self.ttl_ms = max(1, round(check_ttl(ttl_s) * 1000))
        self.provides = frozenset(check_name(c, what="a capability") for c in provides)
        self.groups = frozenset(check_name(g, what="a group") for g in ({groups} if isinstance(groups, str) else groups))
        self.name, self.incarnation = name, 0
        self._token = secrets.token_hex(8)
        self._unanswered: str | None = None  # the name in an attempt to register whose answer was lost

    @property
    def beat(self) -> Beat:
        """The heartbeat of the present incarnation."""
        return Beat(self.name, self.incarnation, self.ttl_ms)

    def register(self) -> None:
        """Register under the first free name: the last name of the service, the name it asks for, or that name with a number.

        An exclusive service registers only under the name it asks for. After any error the call can be repeated.

        Raises:
            ServiceNameTakenError: the service is exclusive and another service holds its name.
            ServerError: the server did not answer, or refused.
        """
        fields = own_fields(address=self._address, metadata=self._metadata, exports=self._exports)
        while True:
            # An attempt whose answer was lost may have succeeded, so it is repeated under the same name. Under another name, the
            # first registration would stay behind without heartbeats, and be announced as withdrawn.
            name = self._unanswered = self._unanswered or (self._wanted_name if self._exclusive else self._free_name())
            incarnation = self._scripts.register(
                name,
                ttl_ms=self.ttl_ms,
                provides=sorted(self.provides),
                groups=sorted(self.groups),
                fields=fields,
                token=self._token,
                after=self.incarnation,
            )
            self._unanswered = None
            if incarnation is not None:
                self.name, self.incarnation = name, incarnation
                return
            if self._exclusive:
                raise ServiceNameTakenError(
                    f"the name {name!r} is held by another service ({self._holder(name)}): stop that service, or choose another name"
                )

    def join(self, group: str) -> None:
        """Join a group. Later incarnations are in the group as well."""
        self._regroup(self.groups | {check_name(group, what="a group")}, group, joins=True)

    def leave(self, group: str) -> None:
        """Leave a group."""
        self._regroup(self.groups - {check_name(group, what="a group")}, group, joins=False)

    def withdraw(self, reason: str, why: str) -> None:
        """Remove the present incarnation from the directory, every index and every group."""
        self._directory.withdraw(self.name, self.incarnation, reason=reason, why=why)

    def _regroup(self, groups: frozenset[str], group: str, *, joins: bool) -> None:
        if self._unanswered:
            self.register()  # an attempt whose answer was lost may have succeeded, with the groups before this change
        self._scripts.regroup(Incarnation(self.name, self.incarnation), group, joins=joins, groups=sorted(groups))
        self.groups = groups

    def _free_name(self) -> str:
        """Return the first name that is free now: the last name of the service, the name it asks for, or that name with a number."""
        first = 1
        while True:
            names = [self._wanted_name if n == 1 else f"{self._wanted_name}-{n}" for n in range(first, first + CHUNK)]
            if first == 1:
                names.insert(0, self.name)
            with self._scripts.client.translating(f"registering {self._wanted_name!r}"):
                taken: Any = self._scripts.client.smismember(self._scripts.keys.services, names)
            for name, is_taken in zip(names, taken, strict=True):
                if not is_taken:
                    return name
            first += CHUNK

    def _holder(self, name: str) -> str:
        """Return a description of the service that has the name, for an error message."""
        try:
            holder = self._directory.lookup(name, overdue=True)
        except ServiceNotFoundError:
            return "it has been withdrawn meanwhile"
        return f"process {holder.pid} on {holder.host}, last heartbeat at {holder.last_beat:%H:%M:%S} UTC"
