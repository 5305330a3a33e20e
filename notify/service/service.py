"""One running service: registered, beating, reporting, until it goes or is killed."""

import logging
import threading
from collections.abc import Collection
from contextlib import suppress

from notify.directory import Directory, ServiceInfo
from notify.errors import ClosedError, ServerError, ServiceKilledError, ServiceWithdrawnError
from notify.events import Event, EventScripts, Failure, Json, publish
from notify.process import Suspension, Suspensions
from notify.requests import RequestServer, capabilities_of
from notify.server import Client
from notify.service.heartbeat import Heartbeats
from notify.service.registration import Registration
from notify.service.report import report_source, report_topic
from notify.state import Fence, State, registered

__all__ = ["Service"]

log = logging.getLogger(__name__)


class Service:
    """A service while it runs. Made by `Bus.service`; use it as a context manager.

    Entering registers it and starts its heartbeat. Leaving withdraws it. If the process dies instead, the deadline does.
    If the directory lost it (the server was away too long, say), it registers again as a new incarnation and reports so.

    Args:
        client: whose server to use.
        name: what it wants to be called.
        provides: its capabilities: names, or an object whose public methods they are.
        groups: the groups it is in from the start.
        ttl_s: seconds of silence after which it counts as dead.
        exclusive: refuse to run under any other name; otherwise a suffix makes a taken name unique.
        metadata: what it says of itself, text by text.
        address: where it can be reached, if anywhere.
        exports: an object whose public methods others may call; they are capabilities as well.
        threads: how many requests may run at once; with one the object needs no locks.
        heartbeats: send its heartbeats; by default the service has a thread of its own for them.
        fences: what every write to its state depends on, besides its registration.

    Raises:
        InvalidServiceError: a name, capability, group, ttl, address, metadata, exports or threads cannot be used.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        *,
        provides: Collection[str] | object = (),
        groups: Collection[str] = (),
        ttl_s: float,
        exclusive: bool = False,
        metadata: dict[str, str] | None = None,
        address: str = "",
        exports: object = None,
        threads: int = 1,
        heartbeats: Heartbeats | None = None,
        fences: tuple[Fence, ...] = (),
    ) -> None:
        self._client = client
        self._scripts = EventScripts(client)
        self._fences = fences
        self._directory = Directory(client)
        self._suspensions = Suspensions()
        self._request_server = (
            None
            if exports is None
            else RequestServer(client, exports, threads=threads, identity=lambda: self._identity, suspensions=self._suspensions)
        )
        exported = frozenset(self._request_server.methods if self._request_server else ())
        self._registration = Registration(
            client,
            name,
            provides=capabilities_of(provides) | exported,
            groups=groups,
            ttl_s=ttl_s,
            exclusive=exclusive,
            metadata=metadata,
            address=address,
            exports=exported,
        )
        self._heartbeats = heartbeats or Heartbeats(client)
        self._opened = False
        self._untold = ""
        self._end: ServiceWithdrawnError | None = None
        self._ended = threading.Event()
        self._changing = threading.Lock()

    @property
    def name(self) -> str:
        """The unique name it got."""
        return self._registration.name

    @property
    def incarnation(self) -> int:
        """Which of the registrations of that name it is."""
        return self._registration.incarnation

    @property
    def groups(self) -> frozenset[str]:
        """The groups it is in."""
        return self._registration.groups

    @property
    def status_topic(self) -> str:
        """The topic it reports on."""
        return self._scripts.keys.status_topic(self.name)

    @property
    def state(self) -> State:
        """Its state hash; writes are refused once this incarnation is not registered any more."""
        return State(
            self._client, self.name, fences=lambda: (*self._fences, registered(self._scripts.keys, self.name, str(self.incarnation)))
        )

    @property
    def info(self) -> ServiceInfo:
        """How the directory describes it, at this moment.

        Raises:
            ServiceNotFoundError: it is not registered.
        """
        return self._directory.lookup(self.name)

    def open(self) -> "Service":
        """Register, and start the heartbeat.

        Raises:
            ServiceNameTakenError: the exclusive name is held by another service.
            ServerError: the server did not answer, or refused.
        """
        with self._changing:  # or a kill meanwhile would find nobody to withdraw
            if self._opened or self._ended.is_set():
                raise ClosedError(f"the service {self.name!r} was opened or ended before: make a new one")
            self._registration.register()
            self._opened = True
            self._heartbeats.join(self._registration, self._lost)
            if self._request_server is not None:
                self._request_server.open()
        return self

    def close(self) -> None:
        """Take no more requests, withdraw, and stop the heartbeat. Does nothing if it has ended already."""
        if self._request_server is not None:
            self._request_server.close()
        self._finish("withdrawn", "", ServiceWithdrawnError(f"the service {self.name!r} is closed"))
        self._heartbeats.leave(self._registration)

    def join(self, group: str) -> None:
        """Be in a group from now on: also as the incarnation that follows, should the directory lose this one.

        Raises:
            InvalidServiceError: no group can be called that.
            ServiceWithdrawnError, ClosedError: it has ended, or is not open yet.
        """
        with self._changing:
            self.check()
            self._registration.join(group)

    def leave(self, group: str) -> None:
        """Be in a group no longer; nothing happens if it was not in it. Raises as `join`."""
        with self._changing:
            self.check()
            self._registration.leave(group)

    def kill(self, why: str = "", *, purge: bool = False) -> None:
        """End the service for good, with a fatal status event. A second kill does nothing.

        Args:
            why: told with the event, and with the error of every later call.
            purge: remove its state as well, unless a successor of the same name has it by now.
        """
        first = self._finish("killed", why, self._killed(why))
        # From here on every fenced write is refused: nothing can come after the purge.
        if first and purge and self.incarnation and self.name not in self._directory:
            State(self._client, self.name, fences=lambda: self._fences).clear()

    def report(
        self,
        contents: Json | Failure | BaseException,
        *,
        subject: str | None = None,
        retain_s: float | None = None,
        key: str | None = None,
    ) -> str:
        """Publish on the status topic, or, about a subject, as a `Report` on the topic ``<name>.<subject>``.

        Args:
            contents: any JSON value, or an error, which is not fatal: the service goes on.
            subject: what the report is about, for example ``system.time``.
            retain_s: for how long a new subscriber still gets it at once, as for `Bus.publish`.
            key: idempotency key, as for `Bus.publish`: with it a report can be tried again after any error.

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
            event = Event(topic=self.status_topic, contents=told, source=self.name)
        else:
            event = Event(topic=report_topic(self.name, subject), contents=told, source=report_source(self.name, self.incarnation))
        return publish(self._scripts, event, retain_s=retain_s, key=key)

    def suspend(self) -> Suspension:
        """Hold up a shutdown until `Suspension.resume`, or the end of its ``with`` block: there is work in hand.

        Raises:
            ServiceWithdrawnError, ClosedError: as for `check`: there is nothing to hold up.
        """
        self.check()
        return self._suspensions.take()

    def stop_serving(self) -> None:
        """Take no more requests from now on. Those that wait do not begin; who made them is told when it is withdrawn."""
        if self._request_server is not None:
            self._request_server.stop()

    def drain(self, timeout_s: float) -> bool:
        """Wait until nobody holds the shutdown up, at most ``timeout_s`` seconds. Returns whether that is so."""
        return self._suspensions.wait(timeout_s)

    def check(self) -> None:
        """Raise `ServiceWithdrawnError`, or `ServiceKilledError`, if the service has ended, `ClosedError` if it is not open yet."""
        if self._end is not None:
            raise type(self._end)(*self._end.args)  # a new one: each raise would lengthen the traceback of the old one
        if not self.incarnation:
            raise ClosedError(f"the service {self.name!r} is not open: use it in a with statement, or open it")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the service ends, by its own hand or another's. Returns whether it has."""
        return self._ended.wait(timeout_s)

    def __enter__(self) -> "Service":
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Service {self.name!r} incarnation {self.incarnation}{' (ended)' if self._end else ''}>"

    @property
    def _identity(self) -> tuple[str, int]:
        return self.name, self.incarnation

    def _lost(self, answer: str) -> bool:
        """Called by the heart: end, if it was killed from outside, else register anew and report so. Returns whether it lives on.

        If the server did not answer it is called again, and does what is left to do.
        """
        if answer == "killed":
            end = self._directory.last_end(self.name)
            with self._changing:
                self._end = self._end or self._killed(end.why if end and end.incarnation == self.incarnation else "")
                self._ended.set()
        with self._changing:
            if self._ended.is_set():
                return False
            if answer != "alive":
                was = self.incarnation
                self._registration.register()
                self._untold = f"{self.name} is back: it was {answer}"
                log.warning("%r was %s and is registered again: incarnation %d follows %d", self.name, answer, self.incarnation, was)
        if self._untold:
            with suppress(ServiceWithdrawnError):  # it may end at any moment
                self.report(self._untold, key=f"back.{self.incarnation}")
            self._untold = ""
        return True

    def _killed(self, why: str) -> ServiceKilledError:
        return ServiceKilledError(f"{self.name} killed" + (f": {why}" if why else ""))

    def _finish(self, reason: str, why: str, end: ServiceWithdrawnError) -> bool:
        """End it, unless it has ended. Returns whether this was the end."""
        with self._changing:  # or a heartbeat could register it again, unseen
            if self._ended.is_set():
                return False
            self._end = end
            self._ended.set()
        if self.incarnation:
            try:
                self._registration.withdraw(reason, why)
            except ServerError as exc:
                log.warning("%r could not say that it ends, its deadline will: %s", self.name, exc)
        return True
