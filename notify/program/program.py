"""The base class of a long-running program with a service."""

import threading
from collections.abc import Collection
from typing import ClassVar, Self

from notify.bus import Bus
from notify.service import Service

__all__ = ["Program"]

LOOK_S = 0.5
"""The longest time after which a waiting program notices that its service was killed."""


class Program:
    """A program with a service: derive a class, set ``name`` and write `run`, then run it with a `Dispatcher`.

    ::

        class Clock(notify.Program):
            name = "clock"
            provides = frozenset({"time"})

            def run(self):
                while self.waits(1.0):
                    self.service.report(time.time(), subject="system.time")

    The service is registered while the program is entered as a context manager. A shutdown has two phases: in `pending` the
    program takes no more work and may finish its work in progress, with the help of ``service.suspend()``; `arrived` comes just
    before the service leaves the directory.

    Args:
        bus: the bus to serve on.
        name: a name for the service, instead of the ``name`` of the class.
        ttl_s: seconds without a heartbeat after which the service is withdrawn; by default ``ttl_s`` of the settings.
        exports: an object whose public methods others may call, as for `Bus.service`; calls in progress delay a shutdown.

    Attributes are ``bus``, ``service`` and ``stopping``, an event that is set when a shutdown is pending.
    An exception in `run` shuts the dispatcher down. An outage of the server raises one too, unless `run` catches it.
    """

    name: ClassVar[str] = ""
    provides: ClassVar[Collection[str]] = ()

    def __init__(self, bus: Bus, *, name: str | None = None, ttl_s: float | None = None, exports: object = None) -> None:
        self.bus = bus
        self.service: Service = bus.service(self.name if name is None else name, provides=self.provides, ttl_s=ttl_s, exports=exports)
        self.stopping = threading.Event()

    def run(self) -> None:
        """Do the work of the program until `stopping` is set. By default there is none: the service is only registered."""
        while self.waits(LOOK_S):
            continue

    def waits(self, timeout_s: float) -> bool:
        """Wait at most ``timeout_s`` seconds. Returns ``False`` once a shutdown is pending or the service has ended, else ``True``."""
        return not self.stopping.wait(timeout_s) and not self.service.wait(0)

    def pending(self) -> None:
        """Start the shutdown: set `stopping`, and accept no more requests. Called once, in the thread of the dispatcher.

        An override must call this method.
        """
        self.stopping.set()
        self.service.stop_serving()

    def arrived(self) -> None:
        """Called once, just before the service leaves the directory. Does nothing by default."""

    def __enter__(self) -> Self:
        self.service.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.service.close()
