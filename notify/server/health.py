"""Telling when the connection to the server comes and goes."""

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
"""A server that hangs is found out within the sum of these two."""

log = logging.getLogger(__name__)


class LinkState(StrEnum):
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"


class LinkStatus(msgspec.Struct, frozen=True):
    """What a handler is told.

    Args:
        state: whether we are connected.
        process: who is at the other end, for example ``redis 7.0.15 pid 4242``; as it was last, when it is lost.
        address: where that is.
    """

    state: LinkState
    process: str
    address: str

    def __str__(self) -> str:
        return f"{self.state} {self.process} ({self.address})"


LinkHandler: TypeAlias = Callable[[LinkStatus], object]


class ConnectionMonitor:
    """Probes the server once a second on a connection of its own, and calls a handler at each change, in order.

    The first call comes at once, whatever the first probe says. What the handler raises is logged and harms nobody.

    Args:
        client: whose server to probe.
        handler: is called in the link's thread.
    """

    def __init__(self, client: Client, handler: LinkHandler) -> None:
        self._client = client.clone(name="link", timeout_s=PROBE_TIMEOUT_S)
        self._handler = handler
        self._process = "unknown"
        self._state: LinkState | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notify-link", daemon=True)

    def open(self) -> "ConnectionMonitor":
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop probing. The handler is told once more, if it last heard that we are connected."""
        self._closing.set()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        self._tell(self._probe())  # also when we are closed at once, because connecting failed
        while not self._closing.wait(PROBE_S * random.uniform(0.8, 1.0)):
            self._tell(self._probe())
        if self._state is LinkState.ACTIVE:
            self._tell(LinkState.INACTIVE)

    def _probe(self) -> LinkState:
        try:
            with self._client.translating("probing"):
                if self._state is LinkState.ACTIVE:
                    self._client.ping()
                else:
                    self._process = _describe(self._client.info("server"))
        except ServerError:
            return LinkState.INACTIVE
        return LinkState.ACTIVE

    def _tell(self, state: LinkState) -> None:
        if state is self._state:
            return
        self._state = state
        try:
            self._handler(LinkStatus(state, self._process, self._client.address))
        except Exception:
            log.exception("the handler for the connection to %s raised", self._client.address)


def _describe(info: Any) -> str:
    kind = "valkey" if "valkey_version" in info else "redis"
    return f"{kind} {info.get('valkey_version') or info.get('redis_version')} pid {info.get('process_id')}"
