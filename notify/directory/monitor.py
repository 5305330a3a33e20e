"""The sweep of the directory: a service that misses heartbeats is suspected; if it stays silent it is withdrawn and announced.

Any number of monitors may sweep at once. Each step is a script that checks the service again by the server's clock, so that only
one monitor takes the step. The monitors share the work: one of them sweeps at the next deadline, the others stand by in case it dies.

A missing heartbeat does not always mean a dead service. If no monitor swept for two seconds, Redis was probably away and no
heartbeat could reach it: every service then gets a *grace*, a full ttl from the next sweep on. A grace that no heartbeat followed is
not given again: programs that sweep only when they meet a silent service would otherwise never withdraw it. If very many services
are suspected at once, the network is more likely broken: the sweep raises an alarm, and a *brake* holds all withdrawals of silent
services for one ttl, once per alarm. ``ServiceInfo.flaps`` counts how often a suspected service recovered. Of repeated suspicions of
a service, only one in ten ttls is announced.

Grace and brake delay a withdrawal. They do not make a silent service available: after its ttl no look-up returns it.
"""

import logging
import threading
from typing import Final

from notify.directory.info import check_name
from notify.directory.scripts import DirectoryScripts, SweepSettings
from notify.directory.withdrawal import Incarnation
from notify.errors import ServerError
from notify.keys import due_member, parse_due_member
from notify.server import Backoff, Client

__all__ = ["Monitor"]

INTERVAL_S: Final = 1.0
"""There is at least one sweep in this many seconds, by any of the monitors."""
LATE_S: Final = 2 * INTERVAL_S
"""After this many seconds without a sweep (Redis or every monitor was away), all services get a grace."""
SPACING_S: Final = 0.25
STANDBY_S: Final = 3.0
"""The monitors that stand by sweep in turn, `SPACING_S` seconds apart, each at least once in this many seconds."""
NEVER_TOO_MANY: Final = 10
BRAKE_SHARE: Final = 0.15
"""The brake needs more than `NEVER_TOO_MANY` suspected services, and more than this share of all services."""
BATCH: Final = 100
"""One sweep handles at most this many services."""

log = logging.getLogger(__name__)


class Monitor:
    """Sweeps the directory in a thread, from `open` to `close`. `sweep` can also be called directly."""

    def __init__(self, client: Client) -> None:
        self._scripts = DirectoryScripts(client)
        self._backoff = Backoff(log, "the sweep")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notify-monitor", daemon=True)

    def open(self) -> "Monitor":
        """Start the thread. Returns the monitor."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop sweeping and wait for the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def __enter__(self) -> "Monitor":
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def sweep(self, *, stays: bool = True) -> float:
        """Suspect and withdraw the services that are due now.

        Args:
            stays: whether this monitor goes on sweeping; if not, the other monitors do not rely on it.

        Returns:
            Seconds until this monitor should sweep again; 0 if services were due, because more may be due than one sweep handles.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        found = self._scripts.sweep(count=BATCH, settings=_sweep_settings(), stays=stays)
        if found.alarm is not None:
            log.error("%d of %d services fell silent at once: their withdrawals are held for one ttl; check the network", *found.alarm)
        services = []
        for member in found.members:
            service = _service_of(member)
            if service is None:
                self._remove(member)
            else:
                services.append(service)
        if services:
            self._advance(services)
        # 2 ms after the deadline, because Redis counts whole milliseconds and the service must be due by then.
        return 0.0 if found.members else found.wait_ms / 1000 + 0.002

    def _advance(self, services: list[Incarnation]) -> None:
        """Suspect those of the due services that were alive until now, and withdraw the others."""
        states = dict(zip(services, self._scripts.states(services), strict=True))
        alive = [service for service, state in states.items() if state == "alive"]
        if alive:
            self._scripts.suspect(alive)
        silent = [service for service, state in states.items() if state != "alive"]
        if not silent:
            return
        why = "no heartbeat"
        for service, event_id in zip(silent, self._scripts.withdraw(silent, reason="expired", why=why, only_if_due=True), strict=True):
            if event_id is not None:
                log.warning("service %r (incarnation %d) is withdrawn: %s", *service, why)

    def _remove(self, member: bytes) -> None:
        """Remove a member of ``ns:due`` that does not name a service. Otherwise every sweep would find it due."""
        keys = self._scripts.keys
        log.warning("%r in %s does not name a service and is removed", member, keys.due)
        with self._scripts.client.translating("sweeping the directory"):
            self._scripts.client.zrem(keys.due, member)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                wait_s = self.sweep()
                self._backoff.over()
            except ServerError as exc:
                wait_s = min(INTERVAL_S, self._backoff.failed(exc))
            self._stopping.wait(wait_s)


def _service_of(member: bytes) -> Incarnation | None:
    """Return the service that a member of ``ns:due`` names; ``None`` if the member was not written by our scripts.

    The member must be byte for byte as the scripts write it: they remove no other spelling of the same service.
    """
    try:
        name, incarnation = parse_due_member(member.decode())
        is_exact = due_member(check_name(name), incarnation).encode() == member
    except ValueError:
        return None
    return Incarnation(name, incarnation) if is_exact else None


def _sweep_settings() -> SweepSettings:
    interval_ms, late_ms, spacing_ms, standby_ms = (round(s * 1000) for s in (INTERVAL_S, LATE_S, SPACING_S, STANDBY_S))
    return SweepSettings(interval_ms, late_ms, spacing_ms, standby_ms, NEVER_TOO_MANY, BRAKE_SHARE)
