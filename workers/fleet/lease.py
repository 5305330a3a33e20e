"""The lease of a worker: a worker that stops renewing it counts as dead. A renewal also finds dead workers, and elects the leader."""

import logging
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from notify.errors import ServerError
from notify.process import memory_kib, steady_s
from notify.server import Backoff, Client
from workers.fleet.hold import NameHold
from workers.fleet.reaper import Reaper
from workers.scripts import LeaseScripts, Renewal, Run

__all__ = ["LEASE_S", "Lease"]

LEASE_S: Final = 5.0
"""Seconds of silence after which a worker counts as dead."""
RENEW_S: Final = 1.0
"""The longest pause between two renewals; for a short lease it is a quarter of the lease. If no worker renewed for twice the pause, the
server was down."""

MEASURE_S: Final = 5.0
"""Seconds between two measurements of the worker's memory, which take about a millisecond for each of its processes."""

log = logging.getLogger(__name__)


class Lease:
    """Renews the lease of one worker in a thread from `open` to `close`, and reaps dead workers.

    The thread does nothing else, so that no other work of the worker delays a renewal.

    Args:
        client: the client of the worker, which several threads share.
        worker: the name of the worker.
        lease_s: seconds for which the worker may be silent.
        revive: called in the thread when the entries of this worker in RQ's registries are gone: it had been taken for dead, or their
            time was over because the server's clock jumped.
        is_working: whether the worker reaches the server with its claims, too. While it does not, it leaves its lease to end, so that
            another worker takes over the job whose end this one cannot record.
        lead: called in the thread after each renewal, with the moment of `steady_s` until which the worker leads, or 0.
            It must return at once.
        queues: the names of the queues of the worker.
        owed: called in the thread after each renewal, with the newest callback that is owed for each queue, or an empty text.
        hold: the hold of the worker on its name. If a renewal shows that another worker has the name, the thread ends.
        sharing: how many workers share this process. Each reports an equal part of its memory.
    """

    def __init__(
        self,
        client: Client,
        worker: str,
        *,
        lease_s: float,
        revive: Callable[[Client], None],
        lead: Callable[[float], None],
        is_working: Callable[[], bool] = lambda: True,
        queues: Sequence[str] = (),
        owed: Callable[[Sequence[bytes]], object] = lambda _: None,
        hold: NameHold | None = None,
        sharing: int = 1,
    ) -> None:
        self._client = client
        self._scripts = LeaseScripts(self._client)
        self._reaper = Reaper(self._client)
        self._worker, self._lease_s, self._revive, self._lead = worker, lease_s, revive, lead
        self._is_working = is_working
        self._queues, self._owed = queues, owed
        self._sharing = sharing
        self._renew_s = min(RENEW_S, lease_s / 4)
        self._backoff = Backoff(log, f"the lease of worker {worker}")
        self._hold = NameHold(client, worker, lease_s=lease_s) if hold is None else hold
        self._is_lost = False
        self._measure_at = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notify-lease", daemon=True)

    def open(self) -> None:
        """Take the lease, and renew it until `close`.

        Raises:
            ServerError: Redis did not answer, or refused.
        """
        self._renew()
        self._thread.start()

    def close(self, *, unfinished: Sequence[Run] = ()) -> None:
        """Stop renewing, and give the lease back. If this worker leads, another one leads within a second.

        Args:
            unfinished: runs that this worker will not finish; their jobs are tried again, or fail, as those of a dead worker.
        """
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        # Without the lease nobody would look for the job: if this fails, another worker does when the lease has expired.
        with suppress(ServerError):
            for run in unfinished:
                if self._hold.is_lost:  # the name is that of another worker, which must not be reaped
                    self._reaper.end_run(self._worker, run.job_id, fence=run.fence)
                else:
                    self._reaper.reap(self._worker, run.job_id, birth=self._hold.birth)
            self._scripts.release_lease(self._worker, birth=self._hold.birth)

    def _renew(self) -> Renewal:
        """Renew the lease, and lead if this worker is elected."""
        birth = self._hold.birth
        asked_at = steady_s()  # before the lease begins, so that this worker stops leading before another one is elected
        lease_ms, away_ms = round(self._lease_s * 1000), round(2000 * self._renew_s)
        memory = self._measure(asked_at)
        renewal = self._scripts.renew_lease(
            self._worker, birth=birth, lease_ms=lease_ms, away_ms=away_ms, memory_kib=memory, queues=self._queues
        )
        if renewal.is_replaced:
            self._lead(0.0)
            self._hold.lose()
            return renewal
        self._hold.confirm(asked_at)
        self._owed(renewal.callbacks)
        self._lead(asked_at + self._lease_s if renewal.leads else 0.0)
        return renewal

    def _measure(self, now: float) -> int | None:
        """Return the memory of this worker, but ``None`` if it was measured a moment ago."""
        if now < self._measure_at:
            return None
        self._measure_at = now + MEASURE_S
        total = memory_kib(os.getpid())
        return None if total is None else total // self._sharing

    def _run(self) -> None:
        wait_s = self._renew_s
        while not self._closing.wait(wait_s):
            wait_s = self._renew_s
            if not self._is_working():
                self._lead(0.0)
                continue
            try:
                renewal = self._renew()
                self._backoff.over()
                if renewal.is_replaced:
                    return
                if renewal.is_new:
                    log.warning("worker %s had lost its lease: it was silent for too long and counted as dead", self._worker)
                if renewal.is_new or renewal.is_unlisted:
                    self._is_lost = True
                if self._is_lost:
                    with self._client.translating("registering a worker again"):
                        self._revive(self._client)
                    self._is_lost = False
                if renewal.dead:
                    self._reap(renewal.dead, renewal.job_id)
                    wait_s = 0.0  # there may be more dead workers
            except ServerError as exc:
                wait_s = min(self._renew_s, self._backoff.failed(exc))
            except Exception:  # something spoilt in Redis must not end the thread, or this worker would count as dead
                log.exception("worker %s could not do all that belongs to its lease", self._worker)

    def _reap(self, dead: str, job: str) -> None:
        try:
            self._reaper.reap(dead, job)
        except ServerError:
            raise
        except Exception:  # an error about the dead worker must not end the thread that renews this one's lease
            log.exception("the dead worker %s cannot be reaped; a worker tries again in %g s", dead, self._lease_s)
