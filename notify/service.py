"""One running service: registered, beating, reporting, until it goes or is killed."""

import inspect
import logging
import os
import random
import socket
import threading
from collections.abc import Collection, Set
from contextlib import suppress
from typing import Any, Final

import msgspec

from notify.directory import Directory, ServiceInfo, check_metadata, check_name, check_ttl
from notify.errors import ClosedError, ServerError, ServiceKilledError, ServiceNameTakenError, ServiceWithdrawnError
from notify.event import Event, Failure
from notify.keys import SERVICES_TOPIC
from notify.publisher import publish
from notify.report import report_source, report_topic
from notify.scripts import Scripts
from notify.serving import Serving
from notify.state import State
from notify.strict_json import Json
from notify.suspension import Suspension, Suspensions

__all__ = ["Service", "capabilities_of"]

BEATS_PER_TTL: Final = 3
JITTER: Final = 0.15
SUSPECT_AFTER: Final = 2 / 3
"""Part of the ttl without a heartbeat after which a service is suspected."""
CHUNK: Final = 100

log = logging.getLogger(__name__)


class Service:
    """A service while it runs. Made by `Bus.service`; use it as a context manager.

    Entering registers it and starts its heartbeat. Leaving withdraws it. If the process dies instead, the deadline does.
    If the directory lost it (the server was away too long, say), it registers again as a new incarnation and reports so.

    Args:
        scripts: the atomic steps of the server.
        name: what it wants to be called.
        provides: its capabilities: names, or an object whose public methods they are.
        ttl_s: seconds of silence after which it counts as dead.
        exclusive: refuse to run under any other name; otherwise a suffix makes a taken name unique.
        metadata: what it says of itself, text by text.
        exports: an object whose public methods others may call; they are capabilities as well.
        threads: how many requests may run at once; with one the object needs no locks.

    Raises:
        InvalidServiceError: a name, capability, ttl, metadata, exports or threads cannot be used.
    """

    def __init__(
        self,
        scripts: Scripts,
        name: str,
        *,
        provides: Collection[str] | object = (),
        ttl_s: float,
        exclusive: bool = False,
        metadata: dict[str, str] | None = None,
        exports: object = None,
        threads: int = 1,
    ) -> None:
        self._scripts = scripts
        self._directory = Directory(scripts)
        self._wanted_name = check_name(name)
        self._ttl_ms = max(1, round(check_ttl(ttl_s) * 1000))
        self._serving = None if exports is None else Serving(scripts.client, exports, threads=threads, identity=lambda: self._identity)
        self._exports = frozenset(self._serving.methods if self._serving else ())
        self._provides = self._exports | {check_name(c, what="a capability") for c in capabilities_of(provides)}
        self._exclusive = exclusive
        self._metadata = check_metadata({} if metadata is None else metadata)
        self._name, self._incarnation = name, 0
        self._end: ServiceWithdrawnError | None = None
        self._ended = threading.Event()
        self._suspensions = Suspensions()
        self._changing = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        """The unique name it got."""
        return self._name

    @property
    def incarnation(self) -> int:
        """Which of the registrations of that name it is."""
        return self._incarnation

    @property
    def status_topic(self) -> str:
        """The topic it reports on."""
        return self._scripts.keys.status_topic(self._name)

    @property
    def state(self) -> State:
        """Its state hash; writes are refused once this incarnation is not registered any more."""
        return State(self._scripts, self._name, fence=lambda: str(self._incarnation))

    @property
    def info(self) -> ServiceInfo:
        """How the directory describes it, at this moment.

        Raises:
            ServiceNotFoundError: it is not registered.
        """
        return self._directory.lookup(self._name)

    def open(self) -> "Service":
        """Register, and start the heartbeat.

        Raises:
            ServiceNameTakenError: the exclusive name is held by another service.
            ServerError: the server did not answer, or refused.
        """
        if self._thread is not None or self._ended.is_set():
            raise ClosedError(f"the service {self._name!r} was opened or ended before: make a new one")
        self._register()
        self._thread = threading.Thread(target=self._beat_until_end, name=f"notify-heartbeat-{self._name}", daemon=True)
        self._thread.start()
        if self._serving is not None:
            self._serving.open()
        return self

    def close(self) -> None:
        """Take no more requests, withdraw, and stop the heartbeat. Does nothing if it has ended already."""
        if self._serving is not None:
            self._serving.close()
        self._finish("withdrawn", "", ServiceWithdrawnError(f"the service {self._name!r} is closed"))
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def kill(self, why: str = "", *, purge: bool = False) -> None:
        """End the service for good, with a fatal status event. A second kill does nothing.

        Args:
            why: told with the event, and with the error of every later call.
            purge: remove its state as well, unless a successor of the same name has it by now.
        """
        first = self._finish("killed", why, self._killed(why))
        # From here on every fenced write is refused: nothing can come after the purge.
        if first and purge and self._incarnation and self._name not in self._directory:
            State(self._scripts, self._name).clear()

    def report(self, contents: Json | Failure | BaseException, *, subject: str | None = None, retain_s: float | None = None) -> str:
        """Publish on the status topic, or, about a subject, as a `Report` on the topic ``<name>.<subject>``.

        Args:
            contents: any JSON value, or an error, which is not fatal: the service goes on.
            subject: what the report is about, for example ``system.time``.
            retain_s: for how long a new subscriber still gets it at once, as for `Bus.publish`.

        Returns:
            The event's id.

        Raises:
            ServiceWithdrawnError: the service has ended (`ServiceKilledError` if it was killed).
            ClosedError: it is not open yet.
            InvalidTopicError, ContentsError, PayloadTooLargeError, SettingsError: nothing was published.
        """
        self.check()
        told = Failure.of(contents) if isinstance(contents, BaseException) else contents
        if subject is None:
            event = Event(topic=self.status_topic, contents=told, source=self._name)
        else:
            event = Event(topic=report_topic(self._name, subject), contents=told, source=report_source(self._name, self._incarnation))
        return publish(self._scripts, event, retain_s=retain_s)

    def suspend(self) -> Suspension:
        """Hold up a shutdown until `Suspension.resume`, or the end of its ``with`` block: there is work in hand.

        Raises:
            ServiceWithdrawnError, ClosedError: as for `check`: there is nothing to hold up.
        """
        self.check()
        return self._suspensions.take()

    def drain(self, timeout_s: float) -> bool:
        """Wait until nobody holds the shutdown up, at most ``timeout_s`` seconds. Returns whether that is so."""
        return self._suspensions.wait(timeout_s)

    def check(self) -> None:
        """Raise `ServiceWithdrawnError`, or `ServiceKilledError`, if the service has ended, `ClosedError` if it is not open yet."""
        if self._end is not None:
            raise type(self._end)(*self._end.args)  # a new one: each raise would lengthen the traceback of the old one
        if not self._incarnation:
            raise ClosedError(f"the service {self._name!r} is not open: use it in a with statement, or open it")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the service ends, by its own hand or another's. Returns whether it has."""
        return self._ended.wait(timeout_s)

    def __enter__(self) -> "Service":
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Service {self._name!r} incarnation {self._incarnation}{' (ended)' if self._end else ''}>"

    def _register(self) -> None:
        fields = {
            "host": socket.gethostname(),
            "pid": str(os.getpid()),
            "ttl_ms": str(self._ttl_ms),
            "provides": msgspec.json.encode(sorted(self._provides)).decode(),
            "metadata": msgspec.json.encode(self._metadata).decode(),
            "exports": msgspec.json.encode(sorted(self._exports)).decode(),
        }
        while True:
            name = self._wanted_name if self._exclusive else self._free_name()
            incarnation = self._scripts.register(
                name,
                after=self._incarnation,
                ttl_ms=self._ttl_ms,
                suspect_ms=self._suspect_ms,
                provides=sorted(self._provides),
                fields={"name": name, **fields},
                announcement=self._announcement("available", name, "@incarnation@"),
            )
            if incarnation is not None:
                self._name, self._incarnation = name, incarnation
                return
            if self._exclusive:
                raise ServiceNameTakenError(
                    f"the name {name!r} is held by another service: {self._holder(name)}; stop it, or choose another name"
                )

    def _free_name(self) -> str:
        """The name it had, the wanted one, or the first with a suffix that looks free."""
        first = 1
        while True:
            names = [self._wanted_name if n == 1 else f"{self._wanted_name}-{n}" for n in range(first, first + CHUNK)]
            if first == 1:
                names.insert(0, self._name)
            with self._scripts.client.translating(f"registering {self._wanted_name!r}"):
                taken: Any = self._scripts.client.smismember(self._scripts.keys.services, names)
            for name, is_taken in zip(names, taken, strict=True):
                if not is_taken:
                    return name
            first += CHUNK

    def _holder(self, name: str) -> str:
        holders = self._directory.find_all(lambda s: s.name == name)
        return ", ".join(f"process {s.pid} on {s.host}, last heard {s.last_beat:%H:%M:%S} UTC" for s in holders) or "gone by now"

    @property
    def _identity(self) -> tuple[str, int]:
        return self._name, self._incarnation

    @property
    def _suspect_ms(self) -> int:
        return max(1, round(self._ttl_ms * SUSPECT_AFTER))

    def _announcement(self, change: str, name: str, incarnation: int | str) -> bytes:
        return self._scripts.body(SERVICES_TOPIC, {"change": change, "service": name, "incarnation": incarnation})

    def _beat_until_end(self) -> None:
        interval_s = self._ttl_ms / 1000 / BEATS_PER_TTL
        wait_s = interval_s
        while not self._ended.wait(wait_s * random.uniform(1 - JITTER, 1 + JITTER)):
            try:
                self._beat()
                wait_s = interval_s
            except ServerError as exc:
                log.warning("the heartbeat of %r failed and is tried again: %s", self._name, exc)
                wait_s = min(interval_s, 0.5)
            except ServiceNameTakenError as exc:
                log.warning("%r cannot come back yet: %s", self._name, exc)

    def _beat(self) -> None:
        announcement = self._announcement("recovered", self._name, self._incarnation)
        answer = self._scripts.beat(
            self._name, self._incarnation, ttl_ms=self._ttl_ms, suspect_ms=self._suspect_ms, announcement=announcement
        )
        if answer == "alive" or self._ended.is_set():
            return
        if answer == "killed":
            end = self._directory.last_end(self._name)
            with self._changing:
                self._end = self._end or self._killed(end.why if end and end.incarnation == self._incarnation else "")
                self._ended.set()
            return
        with self._changing:
            if self._ended.is_set():
                return
            was = self._incarnation
            self._register()
        log.warning("%r was %s and is registered again: incarnation %d follows %d", self._name, answer, self._incarnation, was)
        with suppress(ServiceWithdrawnError):  # it may end at any moment
            self.report(f"{self._name} is back: it was {answer}")

    def _killed(self, why: str) -> ServiceKilledError:
        return ServiceKilledError(f"{self._name} killed" + (f": {why}" if why else ""))

    def _finish(self, reason: str, why: str, end: ServiceWithdrawnError) -> bool:
        """End it, unless it has ended. Returns whether this was the end."""
        with self._changing:  # or a heartbeat could register it again, unseen
            if self._ended.is_set():
                return False
            self._end = end
            self._ended.set()
        if self._incarnation:
            try:
                self._directory.withdraw(self._name, self._incarnation, provides=self._provides, reason=reason, why=why)
            except ServerError as exc:
                log.warning("%r could not say that it ends, its deadline will: %s", self._name, exc)
        return True


def capabilities_of(provides: Collection[str] | object) -> frozenset[str]:
    """Return the capabilities: the given names, or the public callables of any other object.

    Raises:
        InvalidServiceError: through `check_name`, for members that are no names.
    """
    if isinstance(provides, str):
        return frozenset({provides})
    if isinstance(provides, Set | list | tuple):
        return frozenset(provides)
    # Looked at, not asked for: a property must not run because somebody registers.
    members = ((name, inspect.getattr_static(provides, name, None)) for name in dir(provides) if not name.startswith("_"))
    return frozenset(name for name, member in members if callable(member) or isinstance(member, classmethod))
