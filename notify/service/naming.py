"""The name that a service gets: what it does when another service has the name, and whether that one is certainly dead."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias, cast, get_args

import msgspec

from notify.directory import DirectoryScripts, Incarnation
from notify.errors import InvalidServiceError, ServiceNameTakenError
from notify.process import ProcessIdentity
from notify.server import Client, whole
from notify.settings import MAX_TIMEOUT_S, positive

__all__ = ["WAIT", "Holder", "NamePolicy", "Names", "Standby", "until_free"]

ASK_AGAIN_S: Final = 0.1
"""Seconds between two attempts to get an exclusive name."""
CHUNK: Final = 100
"""This many names (``name``, ``name-2``, ``name-3``, ...) are looked up in one round trip to find a free one."""
MOST_MS: Final = 10**14
MOST_PID: Final = 2**31 - 1
HOLDER_FIELDS: Final = ["incarnation", "asked", "host", "pid", "space", "started", "beat_ms"]

Standby: TypeAlias = Literal["wait", "suffix", "refuse"]
"""What a service does when another service has its name: run under a name with a suffix and wait for the name, keep the name with
the suffix, or refuse to start."""


class NamePolicy(msgspec.Struct, frozen=True):
    """What a service does when another service has its name.

    Args:
        standby: as `Standby`.
        wait_s: seconds to wait for the name before the service refuses to start.
    """

    standby: Standby = "wait"
    wait_s: float = 0.0

    @classmethod
    def of(cls, *, standby: object = "wait", exclusive: bool = False, instances: bool = False, wait_s: float | None = None) -> "NamePolicy":
        """Return the policy that the arguments of `Bus.service` describe.

        Raises:
            InvalidServiceError: ``standby`` is unknown, or arguments contradict each other.
            SettingsError: ``wait_s`` is not a number of seconds.
        """
        if standby not in get_args(Standby):
            raise InvalidServiceError(f"standby is {standby!r}: give one of {', '.join(map(repr, get_args(Standby)))}")
        if exclusive and (instances or standby == "suffix"):
            raise InvalidServiceError("an exclusive service has no other instances: leave out exclusive, or instances and standby")
        if instances and standby == "refuse":
            raise InvalidServiceError("instances=True gives each instance a name of its own: leave out standby='refuse'")
        chosen = "refuse" if exclusive else "suffix" if instances else standby
        if wait_s is not None and chosen != "refuse":
            raise InvalidServiceError("wait_s is the time to wait for an exclusive name: give exclusive=True as well, or leave it out")
        return cls(cast(Standby, chosen), 0.0 if wait_s is None else positive(wait_s, "wait_s", at_most=MAX_TIMEOUT_S))


WAIT: Final = NamePolicy()


def until_free(attempt: Callable[[], None], *, wait_s: float, pause: Callable[[float], object]) -> None:
    """Attempt to register until the name is free, for ``wait_s`` seconds; ``pause`` waits in between.

    Raises:
        ServiceNameTakenError: another service still holds the name.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return attempt()
        except ServiceNameTakenError:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise
            pause(min(ASK_AGAIN_S, left_s))


class Holder(msgspec.Struct, frozen=True):
    """The service that has a name.

    Args:
        name: the name.
        incarnation: its registration; ``None`` if its description is missing or corrupt.
        asked: the name that it asked for, if it got another one.
        process: the process that it runs in.
        beat_ms: the time of its last heartbeat, by the server's clock.
    """

    name: str
    incarnation: int | None
    asked: str
    process: ProcessIdentity
    beat_ms: int = 0

    def __str__(self) -> str:
        heard = datetime.fromtimestamp(self.beat_ms / 1000, UTC)
        return f"process {self.process.pid} on {self.process.host}, last heartbeat at {heard:%H:%M:%S} UTC"

    @property
    def dead(self) -> Incarnation | None:
        """The registration, if its process is certainly dead."""
        if self.incarnation is None or not self.process.is_certainly_dead():
            return None
        return Incarnation(self.name, self.incarnation)

    @property
    def why(self) -> str:
        """Why the service is withdrawn if its process is dead."""
        return f"its process {self.process.pid} is gone"


class Names:
    """Looks up who has a name.

    Args:
        client: the server to ask.
        wanted: the name that the service asks for.
    """

    def __init__(self, client: Client, wanted: str) -> None:
        self._client = client
        self._keys = DirectoryScripts(client).keys
        self.wanted = wanted

    def holder(self, name: str) -> Holder | None:
        """Return the service that has a name; ``None`` if the name is free."""
        return self._holders([name])[0]

    def first_free(self, before: list[str]) -> tuple[str, Holder | None]:
        """Return the first name that is free, or whose holder is certainly dead and asked for the same name; with such a holder.

        Args:
            before: the names to try before ``name-2``, ``name-3``, and so on.
        """
        first, tried = 2, before
        while True:
            names = [*tried, *(f"{self.wanted}-{n}" for n in range(first, first + CHUNK))]
            with self._client.translating(f"registering {self.wanted!r}"):
                taken: Any = self._client.smismember(self._keys.services, names)
            free = next((at for at, is_taken in enumerate(taken) if not is_taken), len(names))
            for name, holder in zip(names[:free], self._holders(names[:free]), strict=True):
                if holder is None:
                    return name, None
                if self.wanted in (name, holder.asked) and holder.dead is not None:
                    return name, holder
            if free < len(names):
                return names[free], None
            first, tried = first + CHUNK, []

    def _holders(self, names: list[str]) -> list[Holder | None]:
        if not names:
            return []
        with self._client.translating(f"registering {self.wanted!r}"), self._client.pipeline(transaction=False) as pipe:
            pipe.smismember(self._keys.services, names)
            for name in names:
                pipe.hmget(self._keys.service(name), HOLDER_FIELDS)
            taken, *rows = pipe.execute(raise_on_error=False)
            if isinstance(taken, Exception):
                raise taken
        return [_holder(name, row) if is_taken else None for name, is_taken, row in zip(names, taken, rows, strict=True)]


def _holder(name: str, row: list[bytes | None] | Exception) -> Holder:
    if isinstance(row, Exception):  # the key is no hash: it was written by hand
        return Holder(name, None, "", ProcessIdentity("", 0))
    incarnation, pid = whole(row[0], 0), whole(row[3], 0, most=MOST_PID)
    asked, host, space, started = ((value or b"").decode(errors="replace") for value in (row[1], row[2], row[4], row[5]))
    beat_ms = whole(row[6], 0, most=MOST_MS)
    return Holder(name, incarnation or None, asked, ProcessIdentity(host, pid, space, started), beat_ms)
