"""Heartbeats of all services of a process: one thread, and one round trip for all services that are due together.

A service that the directory has lost registers again in another thread. That may take long, and the other services must send
their heartbeats meanwhile.
"""

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeAlias

from notify.directory import Beat, DirectoryScripts
from notify.errors import ServerError, ServiceNameTakenError
from notify.server import ANSWER_S, Backoff, Client

__all__ = ["HeartbeatSource", "Heartbeats"]

BEATS_PER_TTL: Final = 3
JITTER: Final = 0.15
"""The time between two heartbeats varies at random by at most this share of it."""
STANDBY_S: Final = 0.5
"""A standby sends a heartbeat at least this often: the answer tells that it has got the name that it waits for."""
RETRY_S: Final = 0.5
"""A heartbeat that failed is sent again after at most this many seconds; the first time, much sooner."""
LEAST_ANSWER_S: Final = 0.5
"""The answer to a heartbeat may take this long, also for a short ttl."""
NOT_DUE: Final = math.inf
"""The due time of a service that is registering again: it sends no heartbeats until it is back."""

log = logging.getLogger(__name__)


OnLost: TypeAlias = Callable[[str], bool]
"""A callback for a service that the directory does not know (any more). It gets the answer of `DirectoryScripts.beat`.

The callback registers the service again, or ends it, and returns whether the service still needs heartbeats. If the callback
raises `ServerError`, it is called again with the answer to the next heartbeat, which may be ``alive`` then. For a standby it is called
with every answer."""


class HeartbeatSource(Protocol):
    """A service that needs heartbeats: a `Registration`."""

    @property
    def beat(self) -> Beat:
        """The heartbeat to send, for the incarnation that is registered now."""

    @property
    def standby_for(self) -> str:
        """The name that the service waits for; empty if it waits for none."""


class Heartbeats:
    """Sends the heartbeats of the services that joined. One thread sends them; it runs while there are services.

    Services with the same ttl drift into one round trip: with the services that are due, it sends the heartbeats of those that
    would be due within the jitter.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        """The client whose connection sends them."""
        self._scripts = DirectoryScripts(client)
        self._due: dict[HeartbeatSource, float] = {}
        self._on_lost: dict[HeartbeatSource, OnLost] = {}
        self._incomplete: set[HeartbeatSource] = set()  # services whose callback raised ServerError
        self._backoff = Backoff(log, "the heartbeat thread")
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def join(self, service: HeartbeatSource, on_lost: OnLost) -> None:
        """Send heartbeats for a service that has just registered.

        Args:
            service: the service.
            on_lost: called when the directory has lost the service, in another thread than the one that sends heartbeats.
        """
        with self._changed:
            self._on_lost[service] = on_lost
            self._due[service] = time.monotonic() + _interval_s(service) * _jitter()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="notify-heartbeats", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def leave(self, service: HeartbeatSource) -> None:
        """Send no more heartbeats for a service. If it is registering again, wait until that is over.

        After the last service the thread ends; the call waits for that as well.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._due.get(service) != NOT_DUE)
            self._forget(service)
            self._changed.notify_all()
            thread = self._thread
            if thread is not None and thread is not threading.current_thread():
                self._changed.wait_for(lambda: self._due or self._thread is not thread)

    def close(self) -> None:
        """Send no more heartbeats for any service."""
        for service in list(self._due):
            self.leave(service)

    def send(self, services: Sequence[HeartbeatSource]) -> None:
        """Send the heartbeats of these services now, in one round trip. Register the services again that the directory has lost."""
        self._register_again(self._beat(services))

    def _beat(self, services: Sequence[HeartbeatSource]) -> dict[HeartbeatSource, str]:
        """Send heartbeats. Returns the services that the directory has lost, with the answer; they are not due until they are back.

        A standby, and a service whose callback raised `ServerError`, is returned as well.
        """
        factor = _jitter()  # one factor for all, so that services that are due together stay together
        try:
            answers = self._scripts.beat([service.beat for service in services], timeout_s=_answer_s(services))
        except ServerError as exc:
            pause_s = min(RETRY_S, self._backoff.failed(exc))
            self._schedule({service: min(pause_s, _interval_s(service) * factor) for service in services})
            return {}
        self._backoff.over()
        pairs = zip(services, answers, strict=True)
        lost = {s: answer for s, answer in pairs if answer != "alive" or s.standby_for or s in self._incomplete}
        self._schedule({service: NOT_DUE if service in lost else _interval_s(service) * factor for service in services})
        return lost

    def _register_again(self, lost: Mapping[HeartbeatSource, str]) -> None:
        for service, answer in lost.items():
            self._schedule({service: self._handle_loss(service, answer)})

    def _schedule(self, pauses_s: Mapping[HeartbeatSource, float | None]) -> None:
        """Set the seconds until the next heartbeat of each service. A service with ``None`` needs no more heartbeats."""
        with self._changed:
            now = time.monotonic()
            for service, pause_s in pauses_s.items():
                if pause_s is None:
                    self._forget(service)
                elif service in self._due:  # the service may have left meanwhile
                    self._due[service] = now + pause_s
            self._changed.notify_all()

    def _handle_loss(self, service: HeartbeatSource, answer: str) -> float | None:
        """Call the `OnLost` callback of a service. Returns the seconds until its next heartbeat; ``None`` if it needs no more."""
        on_lost, latest_s = self._on_lost.get(service), math.inf
        try:
            needs_heartbeats = on_lost is not None and on_lost(answer)
            self._incomplete.discard(service)
            if not needs_heartbeats:
                return None
        except ServiceNameTakenError as exc:
            log.warning("%r cannot register again yet: %s", service.beat.name, exc)
        except ServerError as exc:
            log.warning("registering %r again is not complete yet: %s", service.beat.name, exc)
            self._incomplete.add(service)
            latest_s = RETRY_S
        except Exception:  # an error of one service must not keep the others from registering again
            log.exception("registering %r again failed; the answer to its heartbeat was %r", service.beat.name, answer)
        # Only now: the callback may have made the service a standby, or have given it its name.
        return min(latest_s, _interval_s(service) * _jitter())

    def _forget(self, service: HeartbeatSource) -> None:
        self._due.pop(service, None)
        self._on_lost.pop(service, None)
        self._incomplete.discard(service)

    def _run(self) -> None:
        while services := self._wait_until_due():
            lost = self._beat(services)
            if lost:
                try:
                    threading.Thread(target=self._register_again, args=(lost,), name="notify-register-again", daemon=True).start()
                except RuntimeError:  # the system starts no thread; if this one ended too, all services would expire
                    self._register_again(lost)

    def _wait_until_due(self) -> list[HeartbeatSource]:
        """Wait until a service is due. Returns it, and all services that will be due within the jitter; an empty list if none is left."""
        with self._changed:
            while self._due:
                now = time.monotonic()
                first = min(self._due.values())
                if first <= now:
                    return [service for service, due in self._due.items() if due - now <= _interval_s(service) * JITTER]
                self._changed.wait(None if first == NOT_DUE else first - now)
            self._thread = None
            self._changed.notify_all()
            return []


def _interval_s(service: HeartbeatSource) -> float:
    interval_s = service.beat.ttl_ms / 1000 / BEATS_PER_TTL
    return min(STANDBY_S, interval_s) if service.standby_for else interval_s


def _answer_s(services: Sequence[HeartbeatSource]) -> float:
    """Return how long the answer to a heartbeat may take: after a lost connection another one must be sent within the ttl."""
    shortest_s = min((service.beat.ttl_ms / 1000 / BEATS_PER_TTL for service in services), default=ANSWER_S)
    return min(ANSWER_S, max(LEAST_ANSWER_S, shortest_s))


def _jitter() -> float:
    return random.uniform(1 - JITTER, 1 + JITTER)
