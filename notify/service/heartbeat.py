"""The heart of a process: one thread, and one round trip, for the heartbeats of all its services that are due together.

Services that the directory has lost come back in another thread, for that may take long, and the others must beat meanwhile.
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
from notify.server import Backoff, Client

__all__ = ["Beating", "Heartbeats"]

BEATS_PER_TTL: Final = 3
JITTER: Final = 0.15
RETRY_S: Final = 0.5
"""How long a heartbeat that failed waits at the most before it is tried again."""
NOT_DUE: Final = math.inf
"""When one is due that is coming back."""

log = logging.getLogger(__name__)


Lost: TypeAlias = Callable[[str], bool]
"""Is called when the directory does not know a service (any more), with the reason that `DirectoryScripts.beat` gives. It
returns whether the service lives on and has a heartbeat. If a `ServerError` keeps it from its work, it is called again with the
next answer, which may be ``alive`` then."""


class Beating(Protocol):
    """What has a heartbeat: a `Registration`."""

    @property
    def beat(self) -> Beat:
        """Its heartbeat, as the directory knows it now."""


class Heartbeats:
    """Beats for those who joined, in a thread that runs while there is one.

    The beats of services with the same ttl drift together: whatever would be due within the jitter is sent in the same turn.
    """

    def __init__(self, client: Client) -> None:
        self._scripts = DirectoryScripts(client)
        self._due: dict[Beating, float] = {}
        self._lost: dict[Beating, Lost] = {}
        self._unsettled: set[Beating] = set()
        self._backoff = Backoff(log, "the heartbeat thread")
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def join(self, service: Beating, lost: Lost) -> None:
        """Beat for a service that has just registered; ``lost`` is called, in a thread of ours, when the directory has lost it."""
        with self._changed:
            self._lost[service] = lost
            self._due[service] = time.monotonic() + _interval_s(service) * _jitter()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="notify-heartbeats", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def leave(self, service: Beating) -> None:
        """Beat for it no longer, and wait until it is not coming back either. The thread ends with its last service."""
        with self._changed:
            self._changed.wait_for(lambda: self._due.get(service) != NOT_DUE)
            self._forget(service)
            self._changed.notify_all()
            ending = self._thread
            if ending is not None and ending is not threading.current_thread():
                self._changed.wait_for(lambda: self._due or self._thread is not ending)

    def close(self) -> None:
        """Beat for nobody any longer."""
        for service in list(self._due):
            self.leave(service)

    def turn(self, services: Sequence[Beating]) -> None:
        """Send the heartbeats of these now, in one round trip, and deal with those that are lost."""
        self._bring_back(self._send(services))

    def _send(self, services: Sequence[Beating]) -> dict[Beating, str]:
        """Send the heartbeats of these. Returns those that are lost, with the reason; they are not due until they are back."""
        factor = _jitter()  # the same for all: who beats together stays together
        try:
            answers = self._scripts.beat([service.beat for service in services])
        except ServerError as exc:
            self._backoff.failed(exc)
            self._schedule({service: min(RETRY_S, _interval_s(service) * factor) for service in services})
            return {}
        self._backoff.over()
        lost = {s: answer for s, answer in zip(services, answers, strict=True) if answer != "alive" or s in self._unsettled}
        self._schedule({service: NOT_DUE if service in lost else _interval_s(service) * factor for service in services})
        return lost

    def _bring_back(self, lost: Mapping[Beating, str]) -> None:
        for service, answer in lost.items():
            self._schedule({service: self._deal_with(service, answer)})

    def _schedule(self, pauses_s: Mapping[Beating, float | None]) -> None:
        """Let the next heartbeats be due in so many seconds; ``None``: it has none any more."""
        with self._changed:
            now = time.monotonic()
            for service, pause_s in pauses_s.items():
                if pause_s is None:
                    self._forget(service)
                elif service in self._due:  # it may have left meanwhile
                    self._due[service] = now + pause_s
            self._changed.notify_all()

    def _deal_with(self, service: Beating, answer: str) -> float | None:
        """Let a service that is lost come back. Returns seconds until its next heartbeat; ``None`` if it has none any more."""
        pause_s, lost = _interval_s(service) * _jitter(), self._lost.get(service)
        try:
            lives_on = lost is not None and lost(answer)
            self._unsettled.discard(service)
            return pause_s if lives_on else None
        except ServiceNameTakenError as exc:
            log.warning("%r cannot come back yet: %s", service.beat.name, exc)
        except ServerError as exc:
            log.warning("%r is not quite back yet: %s", service.beat.name, exc)
            self._unsettled.add(service)
            pause_s = min(RETRY_S, pause_s)
        except Exception:  # one service must not keep the others from coming back
            log.exception("%r was %s and failed to deal with it", service.beat.name, answer)
        return pause_s

    def _forget(self, service: Beating) -> None:
        self._due.pop(service, None)
        self._lost.pop(service, None)
        self._unsettled.discard(service)

    def _run(self) -> None:
        while services := self._next_turn():
            lost = self._send(services)
            if lost:
                threading.Thread(target=self._bring_back, args=(lost,), name="notify-comeback", daemon=True).start()

    def _next_turn(self) -> list[Beating]:
        """Wait until somebody is due. Returns all that are or soon would be; nobody, if nobody is left."""
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


def _interval_s(service: Beating) -> float:
    return service.beat.ttl_ms / 1000 / BEATS_PER_TTL


def _jitter() -> float:
    return random.uniform(1 - JITTER, 1 + JITTER)
