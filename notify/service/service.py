"""A running service: it is registered, sends heartbeats and reports, and serves requests, until it is closed or killed."""

import logging
import threading
from collections.abc import Collection
from contextlib import suppress

from notify.directory import Directory, ServiceInfo
from notify.errors import ClosedError, ServerError, ServiceKilledError, ServiceWithdrawnError
from notify.events import EventScripts, Failure
from notify.process import Suspension, Suspensions
from notify.requests import RequestServer, capabilities_of, exported_methods
from notify.server import Client
from notify.service.ending import Ending
from notify.service.heartbeat import Heartbeats
from notify.service.naming import WAIT, NamePolicy, until_free
from notify.service.registration import Registration
from notify.service.report import Reports
from notify.state import Fence, State
from notify.values import Encodable

__all__ = ["Service"]

log = logging.getLogger(__name__)


class Service:
    """A service that runs in this process. Made by `Bus.service`; use it as a context manager.

    Entering the context registers the service and starts its heartbeats. Leaving it withdraws the service. If the process dies
    instead, its heartbeats stop and the directory withdraws the service. If the directory has lost the service (for example
    because the server was away for too long), the service registers again as a new incarnation and reports that.
    Arguments that are not named here, and errors, are those of `Bus.service`.

    Args:
        client: the server to use.
        policy: what happens if another service has the name; by default the service becomes a standby such as ``name-2``.
        heartbeats: the `Heartbeats` that send its heartbeats together with those of other services; by default its own.
        fences: conditions of every write to its state, besides the condition that this incarnation is registered.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        *,
        provides: Collection[str] | object = (),
        groups: Collection[str] = (),
        ttl_s: float,
        policy: NamePolicy = WAIT,
        metadata: dict[str, str] | None = None,
        address: str = "",
        exports: object = None,
        threads: int = 1,
        heartbeats: Heartbeats | None = None,
        fences: tuple[Fence, ...] = (),
    ) -> None:
        self._client = client
        self._ending = Ending()
        self._scripts = EventScripts(client)
        self._fences = fences
        self.reports = Reports(self._scripts, identity=lambda: self._registration.identity, check=self.check)
        """The retained reports of the service, to expire some of them or to purge all."""
        self._directory = Directory(client)
        self._suspensions = Suspensions()
        exported = frozenset(exported_methods(exports))
        self._heartbeats = heartbeats or Heartbeats(client)
        self._registration = Registration(
            self._heartbeats.client,
            name,
            provides=capabilities_of(provides) | exported,
            groups=groups,
            ttl_s=ttl_s,
            policy=policy,
            metadata=metadata,
            address=address,
            exports=exported,
            on_moved=self._ending.notify,
        )
        self._request_server = RequestServer(client, exports, threads=threads, host=self._registration, suspensions=self._suspensions)
        self._opened = False
        self._unreported = ""  # the report of a new registration that is still to be published
        self._wait_s = policy.wait_s
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The unique name under which the service is registered. The name of a standby changes when it gets the one it waits for."""
        return self._registration.identity.name

    @property
    def incarnation(self) -> int:
        """The number of its present registration; 0 before the first one."""
        return self._registration.identity.number

    @property
    def standby_for(self) -> str:
        """The name that this service waits for, as a standby under another name; empty if it waits for none."""
        return self._registration.standby_for

    @property
    def groups(self) -> frozenset[str]:
        """The groups that the service is in."""
        return self._registration.groups

    @property
    def status_topic(self) -> str:
        """The topic of its reports without a subject, and of its end: ``<name>_status``."""
        return self._scripts.keys.status_topic(self.name)

    @property
    def state(self) -> State:
        """The state hash of the service. Writes are refused once this incarnation is not registered any more.

        It goes with the name: when a standby gets the name that it waits for, its state is from then on the state of that name.
        """
        registration = self._registration
        return State(self._client, lambda: self.name, fences=lambda: (*self._fences, registration.fence), has_moved=registration.follow)

    @property
    def info(self) -> ServiceInfo:
        """The description in the directory, as it is now.

        Raises:
            ServiceNotFoundError: the service is not registered.
        """
        return self._directory.lookup(self.name, overdue=True)

    def open(self) -> "Service":
        """Register, and start the heartbeats.

        Raises:
            ServiceNameTakenError: the service is exclusive and another service holds its name, also after ``wait_s`` seconds.
            ClosedError: the service was opened before, or has ended.
            ServerError: the server did not answer, or refused.
        """
        until_free(self._open, wait_s=self._wait_s, pause=self._ending.wait)
        return self

    def close(self) -> bool:
        """Take no more requests, wait up to 5 s for running methods, and withdraw the service. Returns ``False`` if it has ended."""
        self._request_server.close()
        was_open = self._finish("withdrawn", "", ServiceWithdrawnError(f"the service {self.name!r} is closed"))
        self._heartbeats.leave(self._registration)
        return was_open

    def join(self, group: str) -> None:
        """Join a group. If the service registers again, its next incarnation is in the group as well.

        Raises:
            InvalidServiceError: the name of the group is not valid.
            ServiceWithdrawnError, ClosedError: the service has ended, or is not open yet.
        """
        with self._lock:
            self.check()
            self._registration.join(group)

    def leave(self, group: str) -> None:
        """Leave a group; nothing happens if the service is not in it. Raises the same errors as `join`."""
        with self._lock:
            self.check()
            self._registration.leave(group)

    def kill(self, why: str = "", *, purge: bool = False) -> None:
        """End the service for good, with a fatal status event. A second kill does nothing.

        Args:
            why: an explanation, for the event and for the error of every later call.
            purge: delete its state and its retained reports as well, unless another service with the same name is registered by now.
        """
        first = self._finish("killed", why, self._killed(why))
        # From here on every fenced write to the state is refused, so that no write can follow the purge.
        if first and purge and self.incarnation and not self._directory.is_taken(self.name):
            State(self._client, self.name, fences=lambda: self._fences).clear()
            self.reports.delete_all()

    def report(
        self,
        contents: Encodable | Failure | BaseException,
        *,
        subject: str | None = None,
        to: str | None = None,
        retain_s: float | None = None,
        key: str | None = None,
    ) -> str:
        """Publish an event on the status topic, or, with a subject, a `Report` on the topic ``<name>.<subject>``.

        Args:
            contents: any JSON value, or an error. An error is not fatal: the service goes on.
            subject: the subject of a `Report`, for example ``system.time``.
            to: name of the only subscriber that gets the event, as a `Demand` returns it. No log keeps the event.
            retain_s: seconds during which a new subscriber gets the event at once, as for `Bus.publish`.
            key: idempotency key, as for `Bus.publish`: with a key the call can be repeated after any error.

        Returns:
            The id of the event; ``""`` with ``to``.

        Raises:
            NotSubscribedError: there is no subscriber named ``to``.
            ServiceWithdrawnError, ClosedError: the service has ended (`ServiceKilledError`: it was killed), or is not open yet.
            InvalidTopicError, ContentsError, PayloadTooLargeError, SettingsError: nothing was published.
            ServerUnreachableError: no answer; the event may have been published.
        """
        self.check()
        return self.reports.publish(contents, subject=subject, to=to, retain_s=retain_s, key=key)

    def suspend(self) -> Suspension:
        """Suspend the shutdown while work is in progress: until `Suspension.resume`, or the end of the ``with`` block.

        Raises:
            ServiceWithdrawnError, ClosedError: the service has ended, or is not open yet.
        """
        self.check()
        return self._suspensions.take()

    def stop_serving(self, *, finish_s: float = 0.0) -> None:
        """Take no more requests, and wait ``finish_s`` seconds for running methods. Callers of waiting requests get an error at the end."""
        self._request_server.stop(finish_s=finish_s)

    def drain(self, timeout_s: float) -> bool:
        """Wait until the shutdown is no longer suspended. Returns false if it still is after ``timeout_s`` seconds."""
        return self._suspensions.wait(timeout_s)

    def check(self) -> None:
        """Raise `ServiceWithdrawnError` or `ServiceKilledError` if the service has ended, `ClosedError` if it is not open yet."""
        self._ending.check()
        if not self.incarnation:
            raise ClosedError(f"the service {self.name!r} is not open: use it in a with statement, or open it")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the service ends: it is closed, or killed by any process. Returns false if it has not after ``timeout_s`` seconds."""
        return self._ending.wait(timeout_s)

    def wait_for_name(self, timeout_s: float | None = None) -> bool:
        """Wait until this standby has the name that it waits for. Returns false if it has not after ``timeout_s`` seconds, or has ended.

        A service that has the name it asked for need not wait. So one of several processes does the work, and another goes on with it.
        """
        self.check()
        self._ending.wait_for(lambda: not self.standby_for, timeout_s)
        return not self.standby_for and not self._ending.has_come

    def __enter__(self) -> "Service":
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Service {self.name!r} incarnation {self.incarnation}{' (ended)' if self._ending.has_come else ''}>"

    def _open(self) -> None:
        with self._lock:  # without the lock, a kill at this moment would find no incarnation to withdraw
            if self._opened or self._ending.has_come:
                raise ClosedError(f"the service {self.name!r} was opened or ended before: make a new one")
            self._registration.register()
            self._opened = True
            self._heartbeats.join(self._registration, self._on_lost)
            self._request_server.open()

    def _on_lost(self, answer: str) -> bool:
        """End the service if another process killed it, else register it again and report that. A standby looks for its name.

        `Heartbeats` calls this with the answer to a heartbeat. After a `ServerError` it calls again; then the rest is completed.
        Returns whether the service still needs heartbeats.
        """
        if answer == "killed":
            end = self._directory.last_end(self.name)
            self._ending.come(self._killed(end.why if end and end.incarnation == self.incarnation else ""))
        with self._lock:
            if self._ending.has_come:
                return False
            if answer == "alive" and self.standby_for:
                self._registration.seek()
            elif answer != "alive" and not self._registration.follow():
                previous = self.incarnation
                self._registration.register()
                self._unreported = f"{self.name} is back: it was {answer}"
                log.warning("%r was %s and is registered again: incarnation %d follows %d", self.name, answer, self.incarnation, previous)
        if self._unreported:
            with suppress(ServiceWithdrawnError):  # the service may end at any moment
                self.report(self._unreported, key=f"back.{self.incarnation}")
            self._unreported = ""
        return True

    def _killed(self, why: str) -> ServiceKilledError:
        return ServiceKilledError(f"{self.name} killed" + (f": {why}" if why else ""))

    def _finish(self, reason: str, why: str, error: ServiceWithdrawnError) -> bool:
        """End the service, unless it has ended; later calls raise ``error``. Returns whether this call ended it."""
        with self._lock:  # without the lock, `_on_lost` could register the service again after this check
            if self._ending.has_come:
                return False
            self._ending.come(error)
        if self.incarnation:
            try:
                self._registration.withdraw(reason, why)
            except ServerError as exc:
                log.warning("service %r could not be withdrawn and expires when its ttl is over: %s", self.name, exc)
        return True
