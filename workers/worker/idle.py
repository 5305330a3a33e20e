"""How a worker waits that has no job to run: for a job, or for what becomes of an overdue service that jobs wait for."""

import logging
import math
import time
from operator import attrgetter
from typing import Final

from notify.errors import ServerError
from notify.server import Backoff, Client, SingleConnection
from workers.loss import OverdueServices
from workers.scripts import Claim
from workers.worker.finish import FinishingWorker
from workers.worker.waiter import JobWaiter

__all__ = ["IdleWait"]

LEFT_S: Final = 0.25
"""Seconds between two claims of an idle worker whose queues hold only jobs that it leaves where they are."""
HEARTBEAT_S: Final = 20.0
"""Seconds between two claims of an idle worker at most: the claim is its heartbeat."""
BURST_WAIT_S: Final = 60.0
"""Seconds that a worker in burst mode waits for what becomes of an overdue service; usually that takes one ttl at most."""

_key = attrgetter("key")

log = logging.getLogger(__name__)


class IdleWait:
    """Waits between two claims. Only `wake` and `services_changed` may be called from other threads.

    Args:
        worker: the worker, whose queues and maintenance count.
        client: the connection of its claims.
        shared: the client of the worker, for sweeps.
    """

    def __init__(self, worker: FinishingWorker, client: SingleConnection, *, shared: Client) -> None:
        self._worker = worker
        self._client = client
        self._backoff = Backoff(log, f"worker {worker.name}")
        self._overdue_services = OverdueServices(shared)
        self._overdue = ""
        """The overdue service that a job waits for, while the worker waits because of that."""
        self._waiter: JobWaiter | None = None

    def open(self) -> None:
        """Prepare to wait."""
        self._open()

    def _open(self) -> JobWaiter:
        self._waiter = waiter = JobWaiter(self._client)
        return waiter

    def close(self) -> None:
        """Close the connections."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.close()
        self._client.hang_up()

    def wake(self) -> None:
        """End the present wait, or the next one. Safe in a signal handler too."""
        waiter = self._waiter  # `close` may come at any moment
        if waiter is not None:
            waiter.wake()

    def services_changed(self) -> None:
        """End the present wait if a job waits for an overdue service: it may start or end now."""
        if self._overdue:
            self.wake()

    def pause(self, timeout_s: float) -> None:
        """Wait for ``timeout_s`` seconds, or until `wake` is called."""
        (self._waiter or self._open()).wait([], timeout_s=timeout_s)

    def wait_for_job(self, claim: Claim, timeout: int | None, idle_since: float, max_idle_time: int | None, *, overdue: str) -> bool:
        """Wait for a job after a claim that found none.

        Args:
            claim: the claim.
            timeout: ``None`` in burst mode: then this waits only for what becomes of an overdue service.
            idle_since: when the worker had nothing to do any more, by ``time.monotonic()``.
            max_idle_time: seconds to wait for a job at most; ``None``: no limit.
            overdue: an overdue service that a job waits for, or empty.

        Returns:
            False if the worker has waited long enough.
        """
        limit_s = math.inf if max_idle_time is None else max_idle_time
        if timeout is None:  # a burst: perhaps no other worker will come to see what becomes of the overdue service
            limit_s = min(BURST_WAIT_S, limit_s) if overdue else 0.0
        left_s = idle_since + limit_s - time.monotonic()
        if left_s > 0:
            self.wait(min(HEARTBEAT_S, left_s), has_left=claim.queue > 0, overdue=overdue)
        return left_s > 0

    def wait(self, timeout_s: float, *, has_left: bool, overdue: str) -> None:
        """Wait for a job, or sweep the directory if there is an overdue service: then it may be withdrawn when this returns.

        Args:
            timeout_s: seconds to wait at most.
            has_left: whether the claim left jobs in the queues. These are not empty then, so they are asked again after a short while.
            overdue: an overdue service that one of these jobs waits for, or empty.
        """
        self._overdue = overdue
        worker = self._worker
        worker.procline("Listening on " + ",".join(worker.queue_names()))  # type: ignore[no-untyped-call]  # RQ leaves it untyped
        if worker.should_run_maintenance_tasks:
            worker.run_maintenance_tasks()  # type: ignore[no-untyped-call]  # as above
        if overdue and self._overdue_services.settle():
            return
        waiter = self._waiter or self._open()
        try:
            if has_left:
                waiter.wait([], timeout_s=min(LEFT_S, timeout_s))
            else:
                waiter.wait(list(map(_key, worker._ordered_queues)), timeout_s=timeout_s)
            self._backoff.over()
        except ServerError as exc:  # the next claim waits until the server is back, unless it refuses only what the waiter asks
            waiter.wait([], timeout_s=self._backoff.failed(exc))
