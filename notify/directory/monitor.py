"""The sweep: who misses heartbeats is suspected, who stays silent is withdrawn and announced, once.

Any number of monitors may sweep at once: each step checks again, in the server and by its clock, and only the first one
through does it. They share the work: one looks in time for the next deadline, the others stand by for its death.

Silence is not always death. When nobody swept for a while the server was away, and no heartbeat could reach it: every service
gets a *grace*, a full ttl from the first sweep on. When very many are suspected at once the network is rather broken: an alarm
is raised, and a *brake* holds all withdrawals by silence for a ttl, once until the alarm is over. A service that is suspected
again and again is counted (``ServiceInfo.flaps``), and told once in ten ttls.
"""

import logging
import threading
from typing import Final

from notify.directory.info import check_name
from notify.directory.scripts import DirectoryScripts, Incarnation, Watchfulness
from notify.errors import ServerError
from notify.keys import due_member, parse_due_member
from notify.server import Backoff, Client

__all__ = ["Monitor"]

INTERVAL_S: Final = 1.0
"""Some monitor sweeps at least that often."""
LATE_S: Final = 2 * INTERVAL_S
"""When nobody swept for longer than that, the server was away, or everybody who could sweep: a grace is given."""
SPACING_S: Final = 0.25
STANDBY_S: Final = 3.0
"""Monitors that stand by look one after the other, ``SPACING_S`` apart; each of them at least that often."""
NEVER_TOO_MANY: Final = 10
BRAKE_SHARE: Final = 0.15
"""More suspects than these, and more than this part of all services, are rather a broken network than so many deaths."""
BATCH: Final = 100

log = logging.getLogger(__name__)


class Monitor:
    """Sweeps in a thread from `open` to `close`; `sweep` can also be called by hand."""

    def __init__(self, client: Client) -> None:
        self._scripts = DirectoryScripts(client)
        self._backoff = Backoff(log, "the sweep")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notify-monitor", daemon=True)

    def open(self) -> "Monitor":
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

    def sweep(self) -> float:
        """Suspect and withdraw who is due now.

        Returns:
            Seconds until this monitor should sweep again: 0 if it found somebody, for more may be due.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        found = self._scripts.sweep(count=BATCH, how=_watchfulness())
        if found.alarm is not None:
            log.error("%d of %d services fell silent at once: their withdrawals are held for one ttl", *found.alarm)
        services = []
        for member in found.members:
            service = _service_of(member)
            if service is None:
                self._remove(member)
            else:
                services.append(service)
        if services:
            self._advance(services)
        # A moment after the deadline, for Redis counts whole milliseconds.
        return 0.0 if found.members else found.wait_ms / 1000 + 0.002

    def _advance(self, services: list[Incarnation]) -> None:
        states = dict(zip(services, self._scripts.states(services), strict=True))
        alive = [service for service, state in states.items() if state == "alive"]
        if alive:
            self._scripts.suspect(alive)
        silent = [service for service, state in states.items() if state != "alive"]
        if not silent:
            return
        why = "no heartbeat"
        for service, told in zip(silent, self._scripts.withdraw(silent, reason="expired", why=why, only_if_due=True), strict=True):
            if told is not None:
                log.warning("service %r (incarnation %d) is withdrawn: %s", *service, why)

    def _remove(self, member: bytes) -> None:
        """Take out what is no service's: it would be due for ever."""
        keys = self._scripts.keys
        log.warning("%r in %s is no service's: it is removed", member, keys.due)
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
    """The service that a member of ``ns:due`` stands for, to the byte; ``None`` if none can: no step would ever take it out."""
    try:
        name, incarnation = parse_due_member(member.decode())
        is_ours = due_member(check_name(name), incarnation).encode() == member
    except ValueError:
        return None
    return Incarnation(name, incarnation) if is_ours else None


def _watchfulness() -> Watchfulness:
    interval_ms, late_ms, spacing_ms, standby_ms = (round(s * 1000) for s in (INTERVAL_S, LATE_S, SPACING_S, STANDBY_S))
    return Watchfulness(interval_ms, late_ms, spacing_ms, standby_ms, NEVER_TOO_MANY, BRAKE_SHARE)
