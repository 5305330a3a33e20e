"""One run: jobs are enqueued while faults happen; then the faults end, all jobs get their time to end, and the account is made."""

import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import redis
from rq import Retry

import notify
from notify.testing import private_server, wait_until
from tests.chaos.account import Account, Order, account_for
from tests.chaos.events import Delivery, delivering
from tests.chaos.jobs import fail, read_journal, work
from tests.chaos.storm import SERVICE, Storm
from workers import DuplicateJobError, Job, Queue

__all__ = ["Report", "retry_of", "run_chaos"]

END_S: Final = 60.0
"""How long the jobs may take to end after the last fault."""
AT_ONCE: Final = 0.4
"""The part of the jobs that is enqueued before the faults begin."""
PAUSE_S: Final = (0.0, 0.06)
"""The pause between two of the others."""


class Report(msgspec.Struct, frozen=True):
    """A run: the jobs and faults in numbers, the account of the jobs, the deliveries of the subscribers, and the seconds it took."""

    jobs: int
    faults: Counter[str]
    account: Account
    deliveries: Sequence[Delivery]
    seconds: float

    @property
    def is_well(self) -> bool:
        return not self.account.faults and not any(delivery.faults for delivery in self.deliveries)


def run_chaos(*, seed: int, jobs: int, workers: int, faults: int, window: int | None = None) -> Report:
    """Run the chaos on a server of its own.

    Args:
        seed: decides the jobs and the faults.
        jobs: how many jobs.
        workers: how many workers.
        faults: how many faults at most; they end with the jobs.
        window: how many jobs each worker claims; by default as it chooses.
    """
    began, orders = time.monotonic(), _orders(seed, jobs)
    with private_server() as server, tempfile.TemporaryDirectory() as folder:
        journal = Path(folder, "journal")
        journal.touch()
        settings = notify.Settings(url=server.url, log_length=1_000_000, connect_timeout_s=1.0, command_timeout_s=2.0)
        with notify.connect(settings=settings) as bus, Storm(server, seed=seed, size=workers, journal=journal, window=window) as storm:
            with delivering(bus, seed=seed) as deliveries, _enqueueing(bus, orders, seed) as enqueued:
                storm.blow(faults=faults, is_over=lambda: enqueued.is_set() and not _open_jobs(bus, orders))
            _let_end(bus, orders)
            account = account_for(bus, orders, read_journal(journal))
    return Report(jobs, storm.faults, account, deliveries, time.monotonic() - began)


def _orders(seed: int, count: int) -> list[Order]:
    """Return different jobs: one in five needs the service, one in four is retried, one in twenty always raises."""
    choice, orders = random.Random(seed), []
    for number in range(count):
        needs = choice.random() < 0.2
        on_loss = choice.choice(["cancel", "hold", "hold", "drain", "ignore"]) if needs else "cancel"
        orders.append(Order(f"job-{number}", choice.random() < 0.05, needs, on_loss, choice.choice([0, 0, 0, 3])))
    return orders


@contextmanager
def _enqueueing(bus: notify.Bus, orders: Sequence[Order], seed: int) -> Iterator[threading.Event]:
    """Enqueue some of the jobs, then the others one by one in a thread. Yields the event that all are enqueued."""
    queue, choice, done = Queue("chaos", connection=bus.redis), random.Random(seed), threading.Event()
    first = orders[: int(len(orders) * AT_ONCE)]
    for on_loss in {order.on_loss for order in first}:
        for needs in (True, False):
            calls = [_call(order, choice) for order in first if (order.on_loss, order.needs) == (on_loss, needs)]
            queue.enqueue_many(calls, needs=SERVICE if needs else None, on_loss=on_loss if needs else None)  # type: ignore[arg-type]

    def go_on() -> None:
        for order in orders[len(first) :]:
            _enqueue(queue, order, choice)
            threading.Event().wait(choice.uniform(*PAUSE_S))
        done.set()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield done
    finally:
        thread.join()


def _enqueue(queue: Queue, order: Order, choice: random.Random) -> None:
    """Enqueue a job once, for as long as the server is away."""
    function, seconds, retry = _function_of(order), _seconds(choice), retry_of(order)
    needs: Any = {"needs": SERVICE, "on_loss": order.on_loss} if order.needs else {}
    while True:
        try:
            queue.enqueue(function, seconds, job_id=order.job_id, unique=True, retry=retry, **needs)
        except DuplicateJobError:
            return  # the answer was lost
        except notify.ServerError:
            threading.Event().wait(0.1)
        else:
            return


def _call(order: Order, choice: random.Random) -> Any:
    return Queue.prepare_data(_function_of(order), [_seconds(choice)], job_id=order.job_id, retry=retry_of(order))


def _function_of(order: Order) -> Any:
    return fail if order.raises else work


def retry_of(order: Order) -> Retry | None:
    """Return RQ's rule for the retries of a job."""
    return Retry(max=order.retries) if order.retries else None


def _seconds(choice: random.Random) -> float:
    """Most jobs are short; one in forty takes about as long as the lease of a worker."""
    return choice.uniform(0.5, 2.5) if choice.random() < 0.025 else choice.uniform(0.0, 0.02)


def _open_jobs(bus: notify.Bus, orders: Sequence[Order]) -> list[str]:
    """Return the ids of the jobs that have not ended; of all, while the server is away."""
    ids = [order.job_id for order in orders]
    try:
        with bus.redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hget(Job.key_for(job_id), "status")
            found = pipe.execute()
    except (notify.ServerError, redis.RedisError):
        return ids
    return [job_id for job_id, status in zip(ids, found, strict=True) if status not in (b"finished", b"failed", b"canceled", b"stopped")]


def _let_end(bus: notify.Bus, orders: Sequence[Order]) -> None:
    """Wait until all jobs have ended, and their ends are recorded. What is open after that, the account tells."""
    left: list[str] = []

    def is_over() -> bool:
        left[:] = _open_jobs(bus, orders)
        threading.Event().wait(0.2)
        return not left and not any(bus.redis.scan_iter("rq:execution:*", count=1000))

    try:
        wait_until(is_over, timeout_s=END_S)
    except TimeoutError:
        return
