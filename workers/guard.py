"""The guard of a worker: hears who is withdrawn, stops the running job that needed it, cancels the waiting ones.

Events only wake it. What counts is what Redis says when it then asks; it also asks after every reconnect, and now and
then, so that a lost event only costs time.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from notify.connection import Client
from notify.errors import ClosedError, ServerError
from notify.event import Event, Gap
from notify.keys import SERVICES_TOPIC
from notify.subscriber import Subscriber
from workers import rq_keys
from workers.claims import Run
from workers.scripts import JobScripts

__all__ = ["Guard"]

CHECK_S: Final = 1.0
"""How long a running job goes unjudged at the most."""
RECONCILE_S: Final = 30.0
"""How long waiting losers stay unnoticed at the most, should every event about them be lost."""
PROBE_S: Final = 5.0
"""How often an idle worker asks for its subscription: its lease is renewed every second, and a running job judged."""
LOCK_MS: Final = 5_000
CHUNK: Final = 100
LOOKED_AT: Final = 1_000
"""Losses that are looked at in one round trip: while it looks, the guard hears nothing."""

log = logging.getLogger(__name__)


class Guard:
    """Watches over one worker's running job, and over all waiting ones, in a thread from `open` to `close`.

    Args:
        client: the guard opens connections of its own like this one.
        stop: called, in the guard's thread, with the run that must end and the verdict (see ``verdict.lua``).
    """

    def __init__(self, client: Client, stop: Callable[[Run, str], None]) -> None:
        self._client = client.clone(name="guard")
        self._scripts = JobScripts(self._client)
        self._stop = stop
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

    def judge(self) -> None:
        """Stop the present run if it may not go on."""
        run = self._run
        if run is None:
            return
        verdict = self._scripts.verdict(run.job_id, fence=run.fence)
        if verdict != "go on" and run is self._run:
            self._stop(run, verdict)

    def cancel_losers(self, service: str) -> int:
        """Cancel the waiting jobs that lost a service; one worker does it, the others leave it to that one.

        Returns:
            How many this call cancelled.
        """
        key = self._scripts.keys.losing(service)
        with self._client.translating(f"cancelling the jobs that need {service!r}"):
            if not self._client.set(key, self._thread.name, nx=True, px=LOCK_MS):
                return 0
            try:
                return self._cancel_losers(service)
            finally:
                self._client.delete(key)

    def _cancel_losers(self, service: str) -> int:
        total = waiting = 0
        while True:
            ids: Any = self._client.zrange(self._scripts.keys.needs(service), waiting, waiting + CHUNK - 1)
            if not ids:
                return total
            for queue, job_ids in self._by_queue([job_id.decode() for job_id in ids]).items():
                cancelled, left = self._scripts.cancel(queue, job_ids, needs=[service], lost=True, reason=f"{service} is gone")
                total, waiting = total + cancelled, waiting + left
            self._client.pexpire(self._scripts.keys.losing(service), LOCK_MS)

    def _by_queue(self, job_ids: list[str]) -> dict[str, list[str]]:
        with self._client.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hget(rq_keys.job(job_id), "origin")
            origins = pipe.execute()
        found: dict[str, list[str]] = {}
        for job_id, origin in zip(job_ids, origins, strict=True):
            # A job whose hash has expired belongs to no queue; the script takes it out of the index all the same.
            found.setdefault(origin.decode() if origin else "", []).append(job_id)
        return found

    def _keep_watch(self) -> None:
        assert self._subscriber is not None  # noqa: S101  # open() set it
        reconciled_at = -math.inf
        while not self._closing.is_set():
            try:
                if time.monotonic() - reconciled_at > RECONCILE_S:
                    self._reconcile()
                    reconciled_at = time.monotonic()
                item = self._subscriber.get(CHECK_S)
                self.judge()
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
        told = event.contents
        if isinstance(told, dict) and told.get("change") == "withdrawn" and isinstance(told.get("service"), str):
            count = self.cancel_losers(str(told["service"]))
            if count:
                log.warning("%d waiting jobs are cancelled: %s is gone", count, told["service"])

    def _reconcile(self) -> None:
        for services in self._losses():
            for service in services:
                self.cancel_losers(service)

    def _losses(self) -> Iterator[list[str]]:
        """The lost services for which jobs wait, some at a time. Of those lost within a month nearly all have none."""
        keys = self._scripts.keys
        with self._client.translating("looking for losses"):
            names: Any = self._client.hkeys(keys.losses)
            services = [name.decode() for name in names]
            for start in range(0, len(services), LOOKED_AT):
                some = services[start : start + LOOKED_AT]
                with self._client.pipeline(transaction=False) as pipe:
                    for service in some:
                        pipe.exists(keys.needs(service))
                    wait = pipe.execute()
                yield [service for service, waits in zip(some, wait, strict=True) if waits]
