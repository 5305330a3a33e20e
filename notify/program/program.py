"""The base of a service that runs for long."""

import threading
from collections.abc import Collection
from typing import ClassVar, Self

from notify.bus import Bus
from notify.service import Service

__all__ = ["Program"]

LOOK_S = 0.5
"""How long a program whose service was killed goes on waiting at the most."""


class Program:
    """Derive from it, name it, and write `run`; then run it with a `Dispatcher`, alone or with others.

    ::

        class Clock(notify.Program):
            name = "clock"
            provides = frozenset({"time"})

            def run(self):
                while self.waits(1.0):
                    self.service.report(time.time(), subject="system.time")

    It is registered while it is entered as a context manager. A shutdown comes in two phases: `pending`, when it is to
    take no more work and may finish what it has, held up by ``service.suspend()``; and `arrived`, just before it leaves the
    directory.

    Args:
        bus: the bus to serve on.
        name: another name than that of the class.
        ttl_s: seconds of silence after which it is withdrawn; by default that of the settings.
        exports: an object whose public methods others may call, as for `Bus.service`; calls in hand hold a shutdown up.

    ``bus`` and ``service`` are its attributes, and ``stopping``, an event that is set from the moment a shutdown is pending.
    What `run` raises ends it, and with it its dispatcher: that an outage of the server does too, unless it is caught.
    """

    name: ClassVar[str] = ""
    provides: ClassVar[Collection[str]] = ()

    def __init__(self, bus: Bus, *, name: str | None = None, ttl_s: float | None = None, exports: object = None) -> None:
        self.bus = bus
        self.service: Service = bus.service(self.name if name is None else name, provides=self.provides, ttl_s=ttl_s, exports=exports)
        self.stopping = threading.Event()

    def run(self) -> None:
        """Do what it is there for, until `stopping`. By default: be there."""
        while self.waits(LOOK_S):
            continue

    def waits(self, timeout_s: float) -> bool:
        """Wait, at most ``timeout_s`` seconds. Returns whether it is to go on: not if it is told to stop, or its service ended."""
        return not self.stopping.wait(timeout_s) and not self.service.wait(0)

    def pending(self) -> None:
        """A shutdown begins: no call by others does any more. Called once, in the thread of the dispatcher.

        What is derived calls this one too.
        """
        self.stopping.set()
        self.service.stop_serving()

    def arrived(self) -> None:
        """The shutdown is here: it leaves the directory next. Called once; nothing to do by default."""

    def __enter__(self) -> Self:
        self.service.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.service.close()
