"""The sweep: who misses heartbeats is suspected, who stays silent is withdrawn and announced, once.

Any number of monitors may sweep at once: each step checks again, in the server and by its clock, and only the first one
through does it.
"""

import logging
import random
import threading
from typing import Any, Final

import msgspec

from notify.directory import Directory
from notify.errors import ServerError
from notify.keys import SERVICES_TOPIC, parse_due_member
from notify.scripts import Scripts

__all__ = ["Monitor"]

INTERVAL_S: Final = 1.0
"""How long a monitor looks away at the most."""
BATCH: Final = 100

log = logging.getLogger(__name__)


class Monitor:
    """Sweeps in a thread from `open` to `close`; `sweep` can also be called by hand."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._directory = Directory(scripts)
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
            Seconds until somebody is due next, at most `INTERVAL_S`.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        members, next_ms = self._scripts.due(count=BATCH)
        for member in members:
            try:
                name, incarnation = parse_due_member(member)
            except ValueError:
                self._remove(member)
            else:
                self._advance(name, incarnation)
        if len(members) == BATCH:
            return 0.0
        # A moment later than the deadline, and not all monitors at the same moment.
        return INTERVAL_S if next_ms < 0 else min(INTERVAL_S, next_ms / 1000 + random.uniform(0.005, 0.05))

    def _advance(self, name: str, incarnation: int) -> None:
        keys = self._scripts.keys
        with self._scripts.client.translating("sweeping the directory"):
            row: Any = self._scripts.client.hmget(keys.service(name), "incarnation", "state", "provides")
        same = row[0] is not None and int(row[0]) == incarnation
        if same and row[1] == b"alive":
            announcement = self._scripts.body(SERVICES_TOPIC, {"change": "suspect", "service": name, "incarnation": incarnation})
            self._scripts.suspect(name, incarnation, announcement=announcement)
            return
        # Without a description of this incarnation, the index of capabilities holds nothing of it, or its successor.
        provides = _capabilities(row[2]) if same and row[2] else []
        if self._directory.withdraw(name, incarnation, provides=provides, reason="expired", why="no heartbeat", only_if_due=True):
            log.warning("service %r (incarnation %d) is withdrawn: no heartbeat", name, incarnation)

    def _remove(self, member: str) -> None:
        """Take out what is no service's: it would be due for ever."""
        keys = self._scripts.keys
        log.warning("%r in %s is no service's: it is removed", member, keys.due)
        with self._scripts.client.translating("sweeping the directory"):
            self._scripts.client.zrem(keys.due, member)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                wait_s = self.sweep()
            except ServerError as exc:
                log.warning("the sweep waits for the server: %s", exc)
                wait_s = INTERVAL_S
            self._stopping.wait(wait_s)


def _capabilities(raw: bytes) -> list[str]:
    try:
        return msgspec.json.decode(raw, type=list[str])
    except msgspec.DecodeError:
        return []  # written by hand
