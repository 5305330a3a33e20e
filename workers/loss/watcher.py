"""The loss watcher of a worker: stops the running job when a service that it needs is withdrawn, and cancels or holds waiting jobs.

Events on the topic ``services`` only wake the watcher. The state in Redis decides, and it is read after every event, after every
reconnect and at intervals: a lost event costs time and nothing else.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from notify.directory import ServiceChange, read_change
from notify.errors import ClosedError, ServerError
from notify.events import Event, Gap, Subscriber
from notify.keys import CRON_TOPIC, SERVICES_TOPIC, any_provider
from notify.server import Backoff, Client
from workers.loss.overdue import OverdueServices
from workers.scripts import AT_ONCE, JobScripts, Run, RunCheck

__all__ = ["LossWatcher"]

CHECK_S: Final = 1.0
"""A running job is checked at least this often."""
RECONCILE_S: Final = 30.0
"""The losses of waiting jobs are looked up at least this often, in case an event about a service was lost."""
LOCK_MS: Final = 5_000
"""Lifetime of the lock on applying a loss. The worker that holds the lock renews it after each script."""
NEEDS_PER_TRIP: Final = 1_000
"""Lost needs that are looked up in one round trip. The watcher receives no event meanwhile."""

log = logging.getLogger(__name__)


class LossWatcher:
    """Watches the running job of one worker, and the waiting jobs of all queues, in a thread from `open` to `close`.

    Args:
        client: for its commands; the watcher opens a connection of its own for the changes of services.
        stop: called, in the watcher's thread, with a run that must end and the check with the reason.
        returned: called, in the watcher's thread, when a service becomes available, as jobs that are held for it may be released, and
            when there are new recurring jobs.
        changed: called, in the watcher's thread, after every change of a service: jobs that wait for an overdue one may start or end.
    """

    def __init__(
        self,
        client: Client,
        stop: Callable[[Run, RunCheck], None],
        *,
        returned: Callable[[], None] = lambda: None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._scripts = JobScripts(self._client)
        self._overdue = OverdueServices(self._client)
        self._stop, self._returned, self._changed = stop, returned, changed
        self._runs: tuple[Run, ...] = ()
        self._to_apply: dict[str, None] = {}
        """The losses that were announced and are not applied yet, in their order. After an outage of the server they are tried again."""
        self._backoff = Backoff(log, "the loss watcher")
        self._closing = threading.Event()
        self._subscriber: Subscriber | None = None
        self._thread = threading.Thread(target=self._run_thread, name="notify-loss-watcher", daemon=True)

    def open(self) -> None:
        """Start the thread. The subscription to changes of services is live when this returns.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        self._subscriber = Subscriber(self._client, [SERVICES_TOPIC, CRON_TOPIC], name="guard", shares_client=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread, and end the subscription."""
        self._closing.set()
        if self._subscriber is not None:
            self._subscriber.close()
        if self._thread.is_alive():
            self._thread.join()

    def watch(self, *runs: Run) -> None:
        """Watch these runs from now on, and no others."""
        self._runs = runs

    def release(self) -> None:
        """Watch no run any more: they have ended."""
        self._runs = ()

    def check(self) -> float:
        """Check the watched runs, and stop those that may not continue. Returns the seconds after which to check again."""
        return min(map(self._check, self._runs), default=CHECK_S)

    def _check(self, run: Run) -> float:
        found = self._scripts.check_run(run.job_id, fence=run.fence)
        self._backoff.over()
        if found.overdue:
            self._overdue.settle()  # if that withdraws the service, the announcement leads to the next check
        if not found.may_run and run in self._runs:
            self._stop(run, found)
        return CHECK_S if found.grace_ms is None else min(CHECK_S, found.grace_ms / 1000)

    def apply_loss(self, need: str) -> int:
        """Cancel or hold the waiting jobs that a loss affects. A lock makes sure that one worker at a time does it.

        Args:
            need: the need that was lost: the name of a service, or ``any <capability>``.

        Returns:
            The number of jobs that this call cancelled or held; 0 if another worker has the lock.
        """
        key = self._scripts.keys.losing(need)
        with self._client.translating(f"applying the loss of {need!r} to waiting jobs"):
            if not self._client.set(key, self._thread.name, nx=True, px=LOCK_MS):
                return 0
            try:
                return self._apply_loss(need)
            finally:
                self._client.delete(key)

    def _apply_loss(self, need: str) -> int:
        total, passed, queues = 0, 0, set[str]()
        while True:
            lost = self._scripts.apply_loss(need, passed=passed, count=AT_ONCE)
            total, passed = total + lost.cancelled + lost.held, passed + lost.waiting
            queues.update(lost.queues)
            if not lost.looked_at:
                break
            self.check()  # the loop may take seconds, and the running job may lose its service meanwhile
            self._client.pexpire(self._scripts.keys.losing(need), LOCK_MS)
        for queue in queues:
            self._scripts.compact_queue(queue)
        return total

    def _run_thread(self) -> None:
        assert self._subscriber is not None  # noqa: S101  # open() set it
        reconciled_at, wait_s = -math.inf, CHECK_S
        while not self._closing.is_set():
            try:
                if time.monotonic() - reconciled_at > RECONCILE_S:
                    self._reconcile()
                    reconciled_at = time.monotonic()
                item = self._subscriber.get(0.0 if self._to_apply else wait_s)
                if isinstance(item, Gap):
                    reconciled_at = -math.inf
                elif item is not None:
                    self._note(item)  # first: the rest may fail because the server is away
                wait_s = self.check()
                self._apply_noted()
            except ClosedError:
                return
            except ServerError as exc:
                if not self._closing.is_set():
                    self._closing.wait(min(CHECK_S, self._backoff.failed(exc)))
            except Exception:  # something spoilt in Redis must not end the thread, or no loss would stop a job any more
                log.exception("the loss watcher failed; it goes on")
                self._closing.wait(CHECK_S)

    def _note(self, event: Event) -> None:
        """Note the losses that an event announces; tell those who wait for a service about any change."""
        if event.topic == CRON_TOPIC:
            self._returned()  # a recurring job may be due before the leader wakes up by itself
            return
        change = read_change(event.contents)
        if not isinstance(change, ServiceChange):
            return
        if change.change in ("available", "recovered"):
            self._returned()
        elif change.change == "withdrawn":
            self._to_apply.update(dict.fromkeys(_needs_met_by(change)))
        self._changed()

    def _apply_noted(self) -> None:
        for need in list(self._to_apply):
            del self._to_apply[need]
            try:
                count = self.apply_loss(need)
            except Exception:
                self._to_apply[need] = None  # behind the others: a need with a spoilt key must not keep them from their turn
                raise
            if count:
                log.warning("%d waiting jobs were cancelled or held: %s is gone", count, need)

    def _reconcile(self) -> None:
        """Apply all recorded losses that waiting jobs have: those from before the watcher started, and those whose events were lost."""
        for needs in self._lost_needs():
            for need in needs:
                self.apply_loss(need)
        self._backoff.over()

    def _lost_needs(self) -> Iterator[list[str]]:
        """Yield, in chunks, the lost needs that waiting jobs have. The record of losses goes back a month; most concern no waiting job."""
        keys = self._scripts.keys
        with self._client.translating("looking for lost needs"):
            names: Any = self._client.hkeys(keys.losses)
            lost = [name.decode(errors="replace") for name in names]
            for start in range(0, len(lost), NEEDS_PER_TRIP):
                chunk = lost[start : start + NEEDS_PER_TRIP]
                with self._client.pipeline(transaction=False) as pipe:
                    for need in chunk:
                        pipe.exists(keys.needs(need))
                    have_jobs = pipe.execute()
                yield [need for need, has_jobs in zip(chunk, have_jobs, strict=True) if has_jobs]


def _needs_met_by(change: ServiceChange) -> list[str]:
    """Return the needs that a service met: its name, and each of its capabilities."""
    return [change.service, *map(any_provider, change.capabilities)]
