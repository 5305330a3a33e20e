"""The gate of a flow that needs services: it holds the sources while one of the services is gone."""

import logging
import threading
from collections.abc import Callable, Collection
from typing import Final

from notify.directory import Directory, Provider, Target, Watch
from notify.errors import InvalidServiceError, NotifyError
from notify.server import Backoff

__all__ = ["NeedsGate", "needs_of"]

LOOK_S: Final = 1.0
"""The gate looks into the directory at each change there, and after this time: an overdue service is gone before anybody says so."""
END_S: Final = 5.0

log = logging.getLogger(__name__)


class NeedsGate:
    """Calls ``hold`` when a service that is needed is gone, and ``release`` when all are there. Use it as a context manager.

    A thread follows the directory. While the server is unreachable nobody knows who is alive, and nothing changes.

    Args:
        directory: the directory.
        needs: names of services, and capabilities as `provides` gives them.
        hold: called with the needs that are not met, and again when these are others.
        release: called when all needs are met; also at once if there are none.
        name: the name of the flow in the log.
    """

    def __init__(
        self,
        directory: Directory,
        needs: Collection[Target],
        *,
        hold: Callable[[list[str]], object],
        release: Callable[[], object],
        name: str,
    ) -> None:
        self._directory, self._needs, self._name = directory, tuple(needs), name
        self._hold, self._release = hold, release
        self._missing: list[str] | None = None
        self._watch: Watch | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"notify-needs-{name}", daemon=True)

    def open(self) -> "NeedsGate":
        """Release at once if nothing is needed; else start the thread."""
        if self._needs:
            self._thread.start()
        else:
            self._release()
        return self

    def close(self) -> None:
        """End the thread; the flow stays as it is."""
        self._closing.set()
        watch = self._watch
        if watch is not None:
            watch.close()
        if self._thread.is_alive():
            self._thread.join(END_S)

    def __enter__(self) -> "NeedsGate":
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        backoff = Backoff(log, f"the needs of {self._name!r}")
        while not self._closing.is_set():
            try:
                with self._directory.watch() as watch:
                    self._watch = watch
                    while not self._closing.is_set():
                        self._look()
                        backoff.over()
                        watch.get(LOOK_S)
            except NotifyError as exc:
                if not self._closing.is_set():
                    self._closing.wait(backoff.failed(exc))

    def _look(self) -> None:
        missing = [str(need) for need in self._needs if not self._is_there(need)]
        if missing == self._missing:
            return
        self._missing = missing
        if missing:
            self._hold(missing)
        else:
            self._release()

    def _is_there(self, need: Target) -> bool:
        if isinstance(need, Provider):
            return self._directory.find(provides=need.capability, default=None) is not None
        return self._directory.lookup(need, default=None) is not None


def needs_of(needs: object) -> tuple[Target, ...]:
    """Return the needs of a flow: one or several names of services and results of `provides`; raise `InvalidServiceError`."""
    given = (needs,) if isinstance(needs, str | Provider) else needs
    if not isinstance(given, Collection) or not all(isinstance(need, str | Provider) for need in given):
        raise InvalidServiceError(f"the needs of a flow are {needs!r}: give names of services, and notify.provides(capability)")
    return tuple(given)
