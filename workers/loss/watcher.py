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
from notify.keys import SERVICES_TOPIC, any_provider
from notify.server import Client
from workers.scripts import AT_ONCE, JobScripts, Run, RunCheck

__all__ = ["LossWatcher"]

CHECK_S: Final = 1.0
"""A running job is checked at least this often."""
RECONCILE_S: Final = 30.0
"""Waiting jobs are checked at least this often, should every event about their services be lost."""
PROBE_S: Final = 5.0
"""An idle subscription is probed this often. That is enough: the lease is renewed, and a running job checked, every second."""
LOCK_MS: Final = 5_000
"""Lifetime of the lock of the one worker that applies a loss; it is renewed after each script."""
NEEDS_PER_TRIP: Final = 1_000
"""Lost needs that are looked up in one round trip. Meanwhile no event is received."""

log = logging.getLogger(__name__)


class LossWatcher:
    """Watches the running job of one worker, and all waiting jobs, in a thread from `open` to `close`.

    Args:
        client: the watcher opens connections of its own like this one.
        stop: called, in the watcher's thread, with a run that must end and the check with the reason.
        returned: called, in the watcher's thread, when a service becomes available: jobs that are held for it may be released.
    """

    def __init__(self, client: Client, stop: Callable[[Run, RunCheck], None], *, returned: Callable[[], None] = lambda: None) -> None:
        self._client = client.clone(name="guard")
        self._scripts = JobScripts(self._client)
        self._stop, self._returned = stop, returned
        self._run: Run | None = None
        self._closing = threading.Event()
        self._subscriber: Subscriber | None = None
        self._thread = threading.Thread(target=self._run_thread, name="notify-loss-watcher", daemon=True)

    def open(self) -> None:
        """Start to watch. The subscription is live when this returns.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        self._subscriber = Subscriber(self._client, [SERVICES_TOPIC], name="guard", probe_after_s=PROBE_S)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._subscriber is not None:
            self._subscriber.close()
        if self._thread.is_alive():
            self._thread.join()
        self._client.close()

    def watch(self, run: Run) -> None:
        """Watch a run from now on, until `release`."""
        self._run = run

    def release(self) -> None:
        self._run = None

    def check(self) -> float:
        """Stop the watched run if it may not continue. Returns the seconds after which to check again."""
        run = self._run
        if run is None:
            return CHECK_S
        found = self._scripts.check_run(run.job_id, fence=run.fence)
        if not found.may_run and run is self._run:
            self._stop(run, found)
        return CHECK_S if found.grace_ms is None else min(CHECK_S, found.grace_ms / 1000)

    def apply_loss(self, need: str) -> int:
        """Cancel or hold the waiting jobs that a loss affects. A lock has one worker do it while the others do nothing.

        Args:
            need: the need that was lost: the name of a service, or ``any <capability>``.

        Returns:
            The number of jobs that this call cancelled or held.
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
            self.check()  # the loop may take seconds, in which the running job may lose its service
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
                item = self._subscriber.get(wait_s)
                wait_s = self.check()
                if isinstance(item, Gap):
                    reconciled_at = -math.inf
                elif item is not None:
                    self._react_to(item)
            except ClosedError:
                return
            except ServerError as exc:
                if not self._closing.is_set():
                    log.warning("the loss watcher waits for the server: %s", exc)
                    self._closing.wait(CHECK_S)

    def _react_to(self, event: Event) -> None:
        change = read_change(event.contents)
        if not isinstance(change, ServiceChange):
            return
        if change.change == "available":
            self._returned()
        elif change.change == "withdrawn":
            for need in _needs_met_by(change):
                count = self.apply_loss(need)
                if count:
                    log.warning("%d waiting jobs were cancelled or held: %s is gone", count, need)

    def _reconcile(self) -> None:
        for needs in self._lost_needs():
            for need in needs:
                self.apply_loss(need)

    def _lost_needs(self) -> Iterator[list[str]]:
        """Yield the lost needs that waiting jobs have, a part at a time. The record of losses goes back a month; few are needed."""
        keys = self._scripts.keys
        with self._client.translating("looking for lost needs"):
            names: Any = self._client.hkeys(keys.losses)
            lost = [name.decode() for name in names]
            for start in range(0, len(lost), NEEDS_PER_TRIP):
                some = lost[start : start + NEEDS_PER_TRIP]
                with self._client.pipeline(transaction=False) as pipe:
                    for need in some:
                        pipe.exists(keys.needs(need))
                    wait = pipe.execute()
                yield [need for need, waits in zip(some, wait, strict=True) if waits]


def _needs_met_by(change: ServiceChange) -> list[str]:
    """The needs that a service met: its name, and each of its capabilities."""
    return [change.service, *map(any_provider, change.capabilities)]
