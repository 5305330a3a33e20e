"""The guard of a worker: hears who is withdrawn, stops the running job that needed it, deals with the waiting ones.

Events only wake it. What counts is what Redis says when it then asks; it also asks after every reconnect, and now and
then, so that a lost event only costs time.
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
"""How long a running job goes unjudged at the most."""
RECONCILE_S: Final = 30.0
"""How long waiting losers stay unnoticed at the most, should every event about them be lost."""
PROBE_S: Final = 5.0
"""How often an idle worker asks for its subscription: its lease is renewed every second, and a running job judged."""
LOCK_MS: Final = 5_000
LOOKED_AT: Final = 1_000
"""Losses that are looked at in one round trip: while it looks, the guard hears nothing."""

log = logging.getLogger(__name__)


class LossWatcher:
    """Watches over one worker's running job, and over all waiting ones, in a thread from `open` to `close`.

    Args:
        client: the guard opens connections of its own like this one.
        stop: called, in the guard's thread, with the run that must end and the check that says why.
        returned: called, in the guard's thread, when a service came: jobs that are held may go on.
    """

    def __init__(self, client: Client, stop: Callable[[Run, RunCheck], None], *, returned: Callable[[], None] = lambda: None) -> None:
        self._client = client.clone(name="guard")
        self._scripts = JobScripts(self._client)
        self._stop, self._returned = stop, returned
        self._run: Run | None = None
        self._closing = threading.Event()
        self._subscriber: Subscriber | None = None
        self._thread = threading.Thread(target=self._keep_watch, name="notify-guard", daemon=True)

    def open(self) -> None:
        """Start watching; it is live when this returns.

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
        """Watch over a run from now on, until `release`."""
        self._run = run

    def release(self) -> None:
        self._run = None

    def check(self) -> float:
        """Stop the present run if it may not go on. Returns in how many seconds to judge again at the latest."""
        run = self._run
        if run is None:
            return CHECK_S
        found = self._scripts.check_run(run.job_id, fence=run.fence)
        if not found.may_run and run is self._run:
            self._stop(run, found)
        return CHECK_S if found.grace_ms is None else min(CHECK_S, found.grace_ms / 1000)

    def apply_loss(self, need: str) -> int:
        """Cancel or hold the waiting jobs that lost something; one worker does it, the others leave it to that one.

        Args:
            need: the name of a service, or ``any <capability>``.

        Returns:
            How many this call cancelled or held.
        """
        key = self._scripts.keys.losing(need)
        with self._client.translating(f"dealing with the jobs that need {need!r}"):
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
            self.check()  # that may take seconds, in which another service may be lost
            self._client.pexpire(self._scripts.keys.losing(need), LOCK_MS)
        for queue in queues:
            self._scripts.compact_queue(queue)
        return total

    def _keep_watch(self) -> None:
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
                    self._hear(item)
            except ClosedError:
                return
            except ServerError as exc:
                if not self._closing.is_set():
                    log.warning("the guard waits for the server: %s", exc)
                    self._closing.wait(CHECK_S)

    def _hear(self, event: Event) -> None:
        change = read_change(event.contents)
        if not isinstance(change, ServiceChange):
            return
        if change.change == "available":
            self._returned()
        elif change.change == "withdrawn":
            for need in _needs_met_by(change):
                count = self.apply_loss(need)
                if count:
                    log.warning("%d waiting jobs are cancelled or held: %s is gone", count, need)

    def _reconcile(self) -> None:
        for needs in self._losses():
            for need in needs:
                self.apply_loss(need)

    def _losses(self) -> Iterator[list[str]]:
        """What was lost and jobs wait for, some at a time. Of what was lost within a month nearly nothing is needed."""
        keys = self._scripts.keys
        with self._client.translating("looking for losses"):
            names: Any = self._client.hkeys(keys.losses)
            lost = [name.decode() for name in names]
            for start in range(0, len(lost), LOOKED_AT):
                some = lost[start : start + LOOKED_AT]
                with self._client.pipeline(transaction=False) as pipe:
                    for need in some:
                        pipe.exists(keys.needs(need))
                    wait = pipe.execute()
                yield [need for need, waits in zip(some, wait, strict=True) if waits]


def _needs_met_by(change: ServiceChange) -> list[str]:
    """The needs that a service met: its name, and each of its capabilities."""
    return [change.service, *map(any_provider, change.capabilities)]
