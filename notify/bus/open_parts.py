"""The open parts of a bus: all that was opened through it and is not closed yet, and the order in which `Bus.close` closes it."""

import itertools
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, ParamSpec, TypeAlias, TypeVar
from weakref import WeakValueDictionary

from notify.directory import Watch
from notify.errors import ClosedError
from notify.events import BackgroundPublisher, Demand, QueuedListener, Subscriber
from notify.service import NotificationManager, Service

__all__ = ["OpenParts"]

FINISH_S: Final = 5.0
"""Running methods of services get this many seconds to finish before the events are sent."""
FLUSH_S: Final = 10.0
"""The background publishers of a bus get this many seconds, all together, to send the events that they accepted."""
OTHER_S: Final = 30.0
"""The longest time that a second `close` waits for the first one, which runs in another thread."""

Part: TypeAlias = BackgroundPublisher | Demand | NotificationManager | QueuedListener | Service | Subscriber | Watch
P = TypeVar("P", bound=Part)
T = TypeVar("T")
A = ParamSpec("A")


class OpenParts:
    """Closes the parts of a bus in order: intake, queued events, services, connections. Each is closed though another one raises.

    A part that its user closes or drops is forgotten. Publishers and managers are kept until they are closed, also if nothing
    else refers to them: a publisher holds events, and a manager calls back. Open services and listeners have threads that refer to them.
    """

    def __init__(self) -> None:
        self._parts: WeakValueDictionary[int, Part] = WeakValueDictionary()
        self._kept: list[BackgroundPublisher | NotificationManager] = []
        self._numbers = itertools.count()
        self._lock = threading.RLock()  # a signal handler that closes the bus may interrupt `add`
        self._closed_by: threading.Thread | None = None
        self._done = threading.Event()

    def add(self, part: P) -> P:
        """Close a new part with the bus; returns the part.

        Raises:
            ClosedError: the bus is closed, or is being closed. The part is closed.
        """
        with self._lock:
            if self._closed_by is None:
                self._parts[next(self._numbers)] = part
                if isinstance(part, BackgroundPublisher | NotificationManager):
                    self._kept = [*(kept for kept in self._kept if not kept.is_closed), part]
                return part
        part.close()
        raise ClosedError("the bus is closed: connect again")

    def close(self, *connections: Callable[[], object]) -> bool:
        """Close the parts, newest first, then the connections, in the order given. May be called again.

        A second call waits until the first one is over. In a daemon thread, as are all that call back, it returns at once: the
        first call may be waiting for that thread.

        Returns:
            ``False`` if that was begun before.

        Raises:
            BaseException: the first error of a part or connection; the other ones are notes of it.
        """
        with self._lock:
            closed_by = self._closed_by
            self._closed_by = closed_by or threading.current_thread()
        if closed_by is not None:
            if closed_by is not threading.current_thread() and not threading.current_thread().daemon:
                self._done.wait(OTHER_S)
            return False
        errors = Errors()
        try:
            self._close_parts(errors)
            for close in connections:
                errors.collect(close)
            for part in list(self._parts.values()):
                if isinstance(part, BackgroundPublisher | QueuedListener):
                    errors.collect(part.close)  # a callback may have opened it again before the connections were closed
        finally:
            self._kept.clear()
            self._done.set()
        errors.raise_first()
        return True

    def _close_parts(self, errors: "Errors") -> None:
        parts = list(self._parts.values())[::-1]
        publishers, services = _of(BackgroundPublisher, parts), _of(Service, parts)
        # Stop the intake. A callback that waits for room in the queue of a publisher could not be closed.
        for publisher in publishers:
            errors.collect(publisher.stop_blocking)
        for service in services:
            errors.collect(service.stop_serving)
        # Readers first: the callback of a listener may wait for one of them.
        for reader in (part for part in parts if isinstance(part, Subscriber | Watch | Demand)):
            errors.collect(reader.close)
        for listener in _of(QueuedListener, parts):
            errors.collect(listener.close)
        for manager in _of(NotificationManager, parts):
            errors.collect(manager.stop_delivering)
        deadline = time.monotonic() + FINISH_S
        for service in services:
            errors.collect(service.stop_serving, finish_s=_left_s(deadline))
        # Send what is queued.
        deadline = time.monotonic() + FLUSH_S
        for publisher in publishers:
            if not publisher.is_closed:
                errors.collect(publisher.start)  # all send at the same time
        for publisher in publishers:
            errors.collect(publisher.close, timeout_s=_left_s(deadline))
        # Withdraw the services.
        for part in parts:
            if isinstance(part, Service | NotificationManager):
                errors.collect(part.close)


class Errors:
    """The errors of several calls, each of which is made whether or not another one raises."""

    def __init__(self) -> None:
        self._raised: list[BaseException] = []

    def collect(self, call: Callable[A, object], *args: A.args, **kwargs: A.kwargs) -> None:
        """Make a call, and keep its error."""
        try:
            call(*args, **kwargs)
        except BaseException as exc:  # also Ctrl-C: it ends the wait for one part, and the other parts are closed
            self._raised.append(exc)

    def raise_first(self) -> None:
        """Raise the first error, an interrupt before all others; the other ones become notes of it."""
        if not self._raised:
            return
        first, *others = sorted(self._raised, key=lambda exc: isinstance(exc, Exception))
        for other in others:
            first.add_note(f"while the bus was closed, this was raised too: {type(other).__name__}: {other}")
        raise first


def _of(kind: type[T], parts: Iterable[object]) -> list[T]:
    return [part for part in parts if isinstance(part, kind)]


def _left_s(deadline: float) -> float:
    return round(max(0.0, deadline - time.monotonic()), 1)
