"""The lease of a worker: while it is renewed the worker lives. Whoever renews one also looks for those that are over, and may lead."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from notify.errors import ServerError
from notify.server import Backoff, Client
from workers.fleet.reaper import Reaper
from workers.scripts import LeaseScripts

__all__ = ["LEASE_S", "Lease"]

LEASE_S: Final = 5.0
"""A worker that is silent for so long is taken for dead."""
RENEW_S: Final = 1.0
"""It is renewed at least that often, and four times before it is over. When nobody did so twice, the server was away."""

log = logging.getLogger(__name__)


class Lease:
    """Keeps the lease of one worker in a thread from `open` to `close`, and sees to what dead workers left.

    The thread is its own: nothing else that a worker does may hold up a renewal.

    Args:
        client: it opens connections of its own like this one.
        worker: the name of the worker.
        lease_s: how long the worker may be silent.
        revive: called, in the thread, when the worker had been taken for dead and is not: its entries in RQ's registries are gone.
        lead: called, in the thread, after each renewal, with the moment of ``time.monotonic()`` until which the worker leads, or 0.
            It must return at once.
    """

    def __init__(
        self, client: Client, worker: str, *, lease_s: float, revive: Callable[[Client], None], lead: Callable[[float], None]
    ) -> None:
        # A command that takes longer than the lease comes too late.
        self._client = client.clone(name="lease", timeout_s=lease_s)
        self._scripts = LeaseScripts(self._client)
        self._abandoned = Reaper(self._client)
        self._worker, self._lease_s, self._revive, self._lead = worker, lease_s, revive, lead
        self._renew_s = min(RENEW_S, lease_s / 4)
        self._backoff = Backoff(log, f"the lease of worker {worker}")
        self._is_lost = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notify-lease", daemon=True)

    def open(self) -> None:
        """Take the lease, and keep it from here on.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        self._renew()
        self._thread.start()

    def close(self) -> None:
        """Give the lease back, and the lead, if it is ours: another worker has that within a second."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        with suppress(ServerError):
            self._scripts.release_lease(self._worker)
        self._client.close()

    def _renew(self) -> tuple[bool, str, str]:
        """Returns whether there was no lease any more, and a worker that is dead, for us to see to, with the job it has in hand."""
        asked_at = time.monotonic()  # the server counts from a moment after it: it never elects another one while we think we lead
        lease_ms, away_ms = round(self._lease_s * 1000), round(2000 * self._renew_s)
        renewal = self._scripts.renew_lease(self._worker, lease_ms=lease_ms, away_ms=away_ms)
        self._lead(asked_at + self._lease_s if renewal.leads else 0.0)
        return renewal.is_new, renewal.dead, renewal.job_id

    def _run(self) -> None:
        wait_s = self._renew_s
        while not self._closing.wait(wait_s):
            wait_s = self._renew_s
            try:
                is_new, dead, job = self._renew()
                self._backoff.over()
                if is_new:
                    log.warning("worker %s had lost its lease: it was silent for too long, and taken for dead", self._worker)
                    self._is_lost = True
                if self._is_lost:
                    with self._client.translating("registering a worker again"):
                        self._revive(self._client)
                    self._is_lost = False
                if dead:
                    self._settle(dead, job)
                    wait_s = 0.0  # there may be more of them
            except ServerError as exc:
                wait_s = min(self._renew_s, self._backoff.failed(exc))

    def _settle(self, dead: str, job: str) -> None:
        try:
            self._abandoned.settle(dead, job)
        except ServerError:
            raise
        except Exception:  # whatever a dead worker left must not cost a living one its lease
            log.exception("what worker %s left cannot be settled; somebody tries again when a lease is over", dead)
