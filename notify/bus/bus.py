"""The bus: the main object of the package, with methods for events, directory, services, requests and state."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from notify.bus.open_parts import OpenParts
from notify.bus.runtime import Runtime
from notify.directory import Directory, Target, check_name
from notify.events import EventBus
from notify.keys import Keys
from notify.requests import Method
from notify.server import ONE_ATTEMPT, Client, EmbeddedServer, LinkHandler
from notify.service import Backplane, NamePolicy, NotificationManager, Service, Standby
from notify.state import Fence, State, registered
from notify.values import Encodable

__all__ = ["Bus"]


class Bus(EventBus):
    """Gives access to the events, directory, services and states of one namespace on one server. Made by `connect`.

    A bus may be shared between threads, but not across a fork. `close` also closes what was opened through the bus.
    """

    def __init__(self, client: Client, *, name: str, embedded: EmbeddedServer | None = None, fences: tuple[Fence, ...] = ()) -> None:
        self._parts = OpenParts()
        self._runtime = Runtime(client, name=name)
        super().__init__(client, name=name, opened=self._runtime.sweeping_for(self._parts.add))
        self._fences = fences
        self._embedded = embedded

    def open(self, *, retry_s: float = ONE_ATTEMPT, on_link: LinkHandler | None = None) -> None:
        """Check that the server answers. `connect` calls this; arguments and errors as there."""
        if on_link is not None:
            self._runtime.watch_connection(on_link)
        self._client.connect(retry_s=retry_s)

    @property
    def keys(self) -> Keys:
        """The keys and channels of the namespace."""
        return self._scripts.keys

    @property
    def socket_path(self) -> Path | None:
        """The socket of the private server; ``None`` if the bus uses another server."""
        return self._embedded.socket_path if self._embedded else None

    def manager(self, name: str = "notification-manager") -> NotificationManager:
        """Return a notification manager, which calls functions with events. While it is open, it is a service with that name."""
        self._check_open()
        manager = NotificationManager(self._client, name=name, ttl_s=self.settings.ttl_s, heartbeats=self._runtime.heartbeats())
        return self._parts.add(manager)

    def backplane(self, name: str) -> Backplane:
        """Return a backplane, a topic that is open while one process holds its name, which is a name as for `service`."""
        return Backplane(self, self.service(name, exclusive=True), self.directory)

    def service(
        self,
        name: str,
        *,
        provides: Collection[str] | object = (),
        groups: Collection[str] = (),
        ttl_s: float | None = None,
        standby: Standby = "wait",
        exclusive: bool = False,
        instances: bool = False,
        wait_s: float | None = None,
        metadata: dict[str, str] | None = None,
        address: str = "",
        exports: object = None,
        threads: int = 1,
    ) -> Service:
        """Return a service, which is registered while it is open; use it as a context manager.

        Args:
            name: the name. If another service has it whose process is certainly dead, this one takes it over at once.
            provides: the capabilities: names, or an object whose public methods give the names.
            groups: the groups of the service; `Service.join` and `Service.leave` change them.
            ttl_s: seconds without a heartbeat after which the service is withdrawn; by default ``ttl_s`` of the settings.
            standby: if the name is taken: ``wait`` for it under a name with a suffix, keep the ``suffix``, or ``refuse`` to start.
            exclusive, instances: the same as ``standby="refuse"``, and as ``standby="suffix"``, for several equal services.
            wait_s: seconds that an exclusive service waits for the name.
            metadata: name → text, shown in the directory.
            address: an address at which the service can be reached without Redis, if it has one.
            exports: an object whose public methods other processes may `call`; their names are capabilities as well.
            threads: how many requests may run at once; with one thread the object of ``exports`` needs no locks.

        Raises:
            InvalidServiceError: an argument cannot be used, the object has no methods, or arguments contradict each other.
        """
        self._check_open()
        policy = NamePolicy.of(standby=standby, exclusive=exclusive, instances=instances, wait_s=wait_s)
        service = Service(
            self._client,
            name,
            provides=provides,
            groups=groups,
            ttl_s=self.settings.ttl_s if ttl_s is None else ttl_s,
            policy=policy,
            metadata=metadata,
            address=address,
            exports=exports,
            threads=threads,
            heartbeats=self._runtime.heartbeats(),
            fences=self._fences,
        )
        return self._parts.add(service)

    def call(self, service: Target, method: Method, /, *args: Encodable, timeout_s: float = 5.0, **kwargs: Encodable) -> Any:
        """Call a method that a service exports, and return its result: for the name of a method in its JSON form, such as text for a date.

        Args:
            service: the name of a service, or the result of `provides`: then the providers of the capability take turns, and a
                suspect provider is called only if there is no other.
            method: a method that the service exports: its name, or ``Stock.reserve`` for a result as its return annotation says.
            args, kwargs: the arguments; the method gets them as the annotations of its parameters say. A parameter ``timeout_s`` of
                the method can be given by position only.
            timeout_s: seconds to wait for the answer. A request that has not begun by then is never run.

        Raises:
            ServiceNotFoundError: no service with that name or capability is registered, or each one is overdue.
            UnknownMethodError: the service exports no such method; the message lists its methods.
            RequestFailedError: the method raised an error; the message names its type.
            RequestTimeoutError, RequestsFullError: no answer in time, or a thousand requests wait for the service already.
            ServiceWithdrawnError: the service was withdrawn before it answered (`ServiceKilledError`: it was killed).
            InvalidServiceError, ContentsError, PayloadTooLargeError, SettingsError: no request was sent.
            ServerUnreachableError: no answer from the server; the method may have been called.
            ClosedError: the bus is closed, or was closed during the call.
        """
        return self._runtime.request_client().call(service, method, args, kwargs, timeout_s=timeout_s)

    @property
    def directory(self) -> Directory:
        """The directory of the registered services."""
        self._check_open()
        return Directory(self._client, on_watch=self._parts.add, upkeep=self._runtime.upkeep)

    def state(self, service: str, *, fenced: bool = False) -> State:
        """Return the state of a service, for processes other than the service itself.

        Args:
            service: the name of the service.
            fenced: refuse every write while the service is not registered, or overdue; for jobs that need the service.
        """
        self._check_open()
        fences = (*self._fences, registered(self.keys, check_name(service))) if fenced else self._fences
        return State(self._client, check_name(service), fences=lambda: fences, on_refused=lambda: self._runtime.upkeep.sweep_once())

    def close(self) -> bool:
        """Close what was opened through the bus, then its connections. A callback may call it. Returns ``False`` if it is closed already.

        A `get` that waits returns ``None``. Running methods of services get 5 s to finish. Background publishers get 10 s to send what
        they accepted. Then services and managers are withdrawn. The first error is raised after all this, with the others as its notes.

        Raises:
            ServerUnreachableError: some events could not be sent in time; the message says how many.
        """
        return self._parts.close(self._runtime.close, self._client.close, *([self._embedded.close] if self._embedded else []))

    def __enter__(self) -> "Bus":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Bus {self._client.address} namespace {self.settings.namespace!r}{' (closed)' if self._client.is_closed else ''}>"
