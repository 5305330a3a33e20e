"""Registration of a service in the directory: its name, its incarnation, and its description."""

import logging
import secrets
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from notify.directory import (
    Beat,
    Directory,
    DirectoryScripts,
    Incarnation,
    NewService,
    check_address,
    check_metadata,
    check_name,
    check_ttl,
    own_fields,
)
from notify.errors import ServerUnreachableError, ServiceNameTakenError, ServiceNotFoundError
from notify.keys import due_member, parse_due_member
from notify.server import Client
from notify.service.naming import Holder, NamePolicy, Names
from notify.state import Fence, registered

__all__ = ["Registration"]

log = logging.getLogger(__name__)


class Registration:
    """Registers a service, and registers it again when the directory has lost it: as a new incarnation with the same description.

    Arguments and errors are those of `Service`; ``policy`` says what happens if another service has the name.
    ``on_moved`` is called when a standby has got the name that it waits for.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        *,
        provides: Collection[str],
        groups: Collection[str],
        ttl_s: float,
        policy: NamePolicy,
        metadata: dict[str, str] | None,
        address: str,
        exports: Collection[str] = (),
        on_moved: Callable[[], None] = lambda: None,
    ) -> None:
        self._scripts = DirectoryScripts(client)
        self._directory = Directory(client)
        self._names = Names(client, check_name(name))
        self._policy = policy
        self._metadata = check_metadata({} if metadata is None else metadata)
        self._address = check_address(address)
        self._exports = exports
        self.ttl_ms = max(1, round(check_ttl(ttl_s) * 1000))
        self.provides = frozenset(check_name(c, what="a capability") for c in provides)
        self.groups = frozenset(check_name(g, what="a group") for g in ({groups} if isinstance(groups, str) else groups))
        self.identity = Incarnation(name, 0)
        """The name and the incarnation; 0 before the first registration. Both change when a standby gets the name that it waits for."""
        self.former: Incarnation | None = None
        """What the service was as a standby; requests that were sent to that are still answered."""
        self._token = secrets.token_hex(8)
        self._on_moved = on_moved
        self._moving = threading.RLock()  # threads that serve requests or write the state may find out that the name has changed
        self._unanswered: str | None = None  # the name in an attempt to register whose answer was lost

    @property
    def beat(self) -> Beat:
        """The heartbeat of the present incarnation."""
        return Beat(*self.identity, self.ttl_ms)

    @property
    def standby_for(self) -> str:
        """The name that the service waits for; empty if it waits for none."""
        waits = self._policy.standby == "wait" and self.identity.number and self.identity.name != self._names.wanted
        return self._names.wanted if waits else ""

    @property
    def fence(self) -> Fence:
        """The condition that the present incarnation is registered."""
        name, incarnation = self.identity
        return registered(self._scripts.keys, name, str(incarnation))

    def register(self) -> None:
        """Register under the name that the service asks for, or, if another service has that, as the policy says.

        If the holder of the name is certainly dead, it is withdrawn in the same step. Otherwise a service that waits registers as a
        standby. Of several free names, the last one that the service had comes first. After any error the call can be repeated.

        Raises:
            ServiceNameTakenError: the service is exclusive and another service holds its name.
            ServerError: the server did not answer, or refused.
        """
        first = self._names.wanted if self._policy.standby != "suffix" else self.identity.name
        # An attempt whose answer was lost may have succeeded, so it is repeated under the same name. Under another name, the
        # first registration would stay behind without heartbeats, and be announced as withdrawn.
        name, dead = self._unanswered or first, None
        while not self._attempt(name, dead):
            name, dead = self._choose()

    def seek(self) -> bool:
        """Find out whether this standby has got its name, and take the name if it is free or the holder is certainly dead.

        Returns:
            Whether the service has another name now.
        """
        if self.follow():
            return True
        wanted = self._names.wanted
        holder = self._names.holder(wanted)
        if holder is None:  # its description was deleted by hand: no script gave the name to a standby
            why = f"{self.identity.name} is {wanted} now"
            incarnation = self._scripts.take_over(self.identity, self._new(wanted), reason="promoted", why=why)
            if incarnation is not None:
                self._move_to(Incarnation(wanted, incarnation))
            return incarnation is not None
        if holder.dead is not None:
            self._withdraw(holder)
            return self.follow()
        return False

    def follow(self) -> bool:
        """Find out whether this standby was given the name that it waits for. Returns whether the service has another name now."""
        seen = self.identity
        with self._moving:
            if self.identity != seen:
                return True  # another thread found out
            if not self.standby_for:
                return False
            with self._scripts.client.translating(f"looking for the name of {self.identity.name!r}"):
                raw: Any = self._scripts.client.get(self._scripts.keys.promoted(due_member(*self.identity)))
            if raw is not None:
                self._move_to(Incarnation(*parse_due_member(raw.decode())))
            return raw is not None

    def join(self, group: str) -> None:
        """Join a group. Later incarnations are in the group as well."""
        self._regroup(self.groups | {check_name(group, what="a group")}, group, joins=True)

    def leave(self, group: str) -> None:
        """Leave a group."""
        self._regroup(self.groups - {check_name(group, what="a group")}, group, joins=False)

    def withdraw(self, reason: str, why: str) -> None:
        """Remove the present incarnation from the directory, every index and every group.

        If there is no answer, this is tried once more: a connection can be dead without a trace.
        """
        try:
            self._leave_directory(reason, why)
        except ServerUnreachableError:
            self._leave_directory(reason, why)

    def _leave_directory(self, reason: str, why: str) -> None:
        while self._directory.withdraw(*self.identity, reason=reason, why=why) is None and self.follow():
            continue

    def _attempt(self, name: str, dead: Holder | None) -> bool:
        """Try to register under a name. ``dead`` is its holder, if it is to be withdrawn. Returns false if another service has the name."""
        waits_for = self._names.wanted if self._policy.standby == "wait" and name != self._names.wanted else ""
        self._unanswered = name
        new = self._new(name)
        if dead is None:
            incarnation = self._scripts.register(**new._asdict(), waits_for=waits_for)
        elif waits_for or dead.incarnation is None:
            incarnation = None
        else:
            old = Incarnation(name, dead.incarnation)
            incarnation = self._scripts.take_over(old, new, reason="expired", why=dead.why)
        self._unanswered = None
        if incarnation is not None:
            self.identity, self.former = Incarnation(name, incarnation), None
        elif dead is not None:
            self._withdraw(dead)  # the name is that of a standby, or standbys wait for it and the first one gets it
        return incarnation is not None

    def _choose(self) -> tuple[str, Holder | None]:
        """Return the name to register under; if another service has that name, which is dead, return it as well."""
        wanted, last = self._names.wanted, self.identity.name
        if self._policy.standby != "refuse":
            names = [wanted, last] if self._policy.standby == "wait" else [last, wanted]
            return self._names.first_free(names if last != wanted else [wanted])
        holder = self._names.holder(wanted)
        if holder is not None and holder.dead is None:
            raise ServiceNameTakenError(
                f"the name {wanted!r} is held by another service ({holder}): stop that service, or choose another name"
            )
        return wanted, holder

    def _new(self, name: str) -> NewService:
        """Return the service as it registers under a name."""
        fields = own_fields(address=self._address, metadata=self._metadata, exports=self._exports)
        if name != self._names.wanted:
            fields |= {"asked": self._names.wanted} | ({"standby": self._names.wanted} if self._policy.standby == "wait" else {})
        provides, groups = sorted(self.provides), sorted(self.groups)
        return NewService(name, self.ttl_ms, provides, groups, fields, self._token, self.identity.number)

    def _withdraw(self, dead: Holder) -> None:
        if dead.incarnation is not None:
            self._directory.withdraw(dead.name, dead.incarnation, reason="expired", why=dead.why)

    def _move_to(self, identity: Incarnation) -> None:
        """Go on under another name. A group that was joined or left while the name changed is joined or left again."""
        self.former, self.identity = self.identity, identity
        log.warning("%r has the name %r now, as incarnation %d", self.former.name, *identity)
        self._on_moved()
        with suppress(ServiceNotFoundError):  # withdrawn again meanwhile
            found = self._directory.lookup(identity.name)
            for group in found.groups ^ self.groups if found.incarnation == identity.number else ():
                self._scripts.regroup(identity, group, joins=group in self.groups, groups=sorted(self.groups))

    def _regroup(self, groups: frozenset[str], group: str, *, joins: bool) -> None:
        if self._unanswered:
            self.register()  # an attempt whose answer was lost may have succeeded, with the groups before this change
        self._scripts.regroup(self.identity, group, joins=joins, groups=sorted(groups))
        self.groups = groups
