"""The base class of a long-running program with a service."""

import threading
from collections.abc import Collection
from typing import ClassVar, Self

from notify.bus import Bus
from notify.service import Service, Standby

__all__ = ["Program"]

LOOK_S = 0.5
"""How often `Program.run`, unless it is overridden, checks that the service is still registered."""


class Program:
    """The base class of a program with a service: set ``name`` and override `run` in a subclass, then run it by a `Dispatcher`.

    ::

        class Clock(notify.Program):
            name = "clock"
            provides = frozenset({"time"})

            def run(self):
                while self.waits(1.0):
                    self.service.report(time.time(), subject="system.time")

    The service is registered while the program is entered as a context manager. A shutdown has two phases: in `pending` the
    program takes no more work and may finish its work in progress, which ``service.suspend()`` gives it time for; `arrived` is
    called just before the service is withdrawn.

    Args:
        bus: the bus to serve on.
        name: a name for the service, instead of the ``name`` of the class.
        ttl_s: seconds without a heartbeat after which the service is withdrawn; by default ``ttl_s`` of the settings.
        exports: an object whose public methods other processes may call, as for `Bus.service`; calls in progress delay a shutdown.
        provides: capabilities, instead of those of the class.
        address: an address at which the service can be reached without Redis, if it has one.

    The attributes are ``bus``, ``service``, and ``stopping``, an event that is set when a shutdown begins.
    An exception in `run` shuts the dispatcher down. During an outage of the server, calls of the bus and the service raise
    `ServerUnreachableError`: a program that must outlive an outage catches it in `run`.
    """

    name: ClassVar[str] = ""
    """The name of the service."""
    provides: ClassVar[Collection[str]] = ()
    """The capabilities of the service."""
    standby: ClassVar[Standby] = "wait"
    """What the service does if another one has its name, as for `Bus.service`."""

    def __init__(
        self,
        bus: Bus,
        *,
        name: str | None = None,
        ttl_s: float | None = None,
        exports: object = None,
        provides: Collection[str] | None = None,
        address: str = "",
    ) -> None:
        self.bus = bus
        self.service: Service = bus.service(
            self.name if name is None else name,
            provides=self.provides if provides is None else provides,
            standby=self.standby,
            ttl_s=ttl_s,
            exports=exports,
            address=address,
        )
        self.stopping = threading.Event()

    def run(self) -> None:
        """Do the work of the program until `stopping` is set. By default it does nothing, and the service is only registered."""
        while self.waits(LOOK_S):
            continue

    def waits(self, timeout_s: float) -> bool:
        """Wait ``timeout_s`` seconds, or until a shutdown begins.

        Returns:
            ``False`` if a shutdown has begun or the service has ended, else ``True``.
        """
        return not self.stopping.wait(timeout_s) and not self.service.wait(0)

    def pending(self) -> None:
        """Start the shutdown: set ``stopping``, and accept no more requests. The dispatcher calls this once, in its own thread.

        An override must call this method.
        """
        self.stopping.set()
        self.service.stop_serving()

    def arrived(self) -> None:
        """Do nothing; an override may clean up. The dispatcher calls this once, just before it withdraws the service."""

    def __enter__(self) -> Self:
        self.service.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.service.close()
