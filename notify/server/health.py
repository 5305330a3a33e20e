"""Connection health: a monitor that reports when the server stops or starts to answer."""

import logging
import random
import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, TypeAlias

import msgspec

from notify.errors import ServerError
from notify.server.client import Client

__all__ = ["ConnectionMonitor", "LinkHandler", "LinkState", "LinkStatus"]

PROBE_S: Final = 1.0
PROBE_TIMEOUT_S: Final = 2.0
"""A server that hangs is detected within `PROBE_S` plus this time."""

log = logging.getLogger(__name__)


class LinkState(StrEnum):
    """Whether the server answers."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"


class LinkStatus(msgspec.Struct, frozen=True):
    """The health of the connection, as passed to a handler.

    Args:
        state: whether the server answers.
        process: the server, for example ``redis 7.0.15 pid 4242``; while none answers, the one that answered last, or ``unknown``.
        address: the address of the server, without a password.
    """

    state: LinkState
    process: str
    address: str

    def __str__(self) -> str:
        return f"{self.state} {self.process} ({self.address})"


LinkHandler: TypeAlias = Callable[[LinkStatus], object]


class ConnectionMonitor:
    """Probes the server once a second on a connection of its own, and calls a handler when the state changes.

    The handler is also called with the result of the first probe. Exceptions that the handler raises are logged.

    Args:
        client: the server to probe.
        handler: called in the thread of the monitor.
    """

    def __init__(self, client: Client, handler: LinkHandler) -> None:
        self._client = client.clone(name="link", timeout_s=PROBE_TIMEOUT_S)
        self._handler = handler
        self._process = "unknown"
        self._state: LinkState | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notify-link", daemon=True)

    def open(self) -> "ConnectionMonitor":
        """Start to probe."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop probing. If the state is ``ACTIVE``, the handler is called once more, with ``INACTIVE``."""
        self._closing.set()
        if self._thread is not threading.current_thread():  # the handler closes the bus
            self._thread.join()
        self._client.close()

    def _run(self) -> None:
        self._report(self._probe())  # the first probe is reported even if the monitor is closed at once, because `connect` failed
        while not self._closing.wait(PROBE_S * random.uniform(0.8, 1.0)):
            self._report(self._probe())
        if self._state is LinkState.ACTIVE:
            self._report(LinkState.INACTIVE)

    def _probe(self) -> LinkState:
        try:
            with self._client.translating("probing"):
                if self._state is LinkState.ACTIVE:
                    self._client.ping()
                else:
                    self._process = _describe(self._client.server_info())
        except ServerError:
            return LinkState.INACTIVE
        return LinkState.ACTIVE

    def _report(self, state: LinkState) -> None:
        if state is self._state:
            return
        self._state = state
        try:
            self._handler(LinkStatus(state, self._process, self._client.address))
        except Exception:
            log.exception("the on_link handler for the connection to %s raised an exception", self._client.address)


def _describe(info: Any) -> str:
    """Return what a server says about itself. A user who may not run ``INFO`` is not told the process id, or not even the version."""
    kind = "valkey" if "valkey_version" in info else "redis"
    version = info.get("valkey_version") or info.get("redis_version") or "of unknown version"
    return f"{kind} {version}" + (f" pid {info['process_id']}" if "process_id" in info else "")
