"""Short and long jobs mixed, in batches, over several horses, while everything is killed, jobs are cancelled and the server restarts."""

import random
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import redis

import notify
from notify.testing import private_server, wait_until
from tests.chaos.account import Account, Order, account_for, job_events
from tests.chaos.jobs import Step, fail, read_journal, work
from tests.chaos.run import Report, retry_of
from tests.chaos.storm import Storm
from workers import DuplicateJobError, Job, Queue, rq_keys

__all__ = ["out_of_order", "run_mixed"]

SHARED: Final = "chaos"
"""The queue of more than half of the jobs, which all horses serve."""
KINDS: Final = {"horse": 12, "worker": 10, "fork server": 3, "host": 3, "server": 3}
"""How often each fault happens, in relation to the others. ``host``: worker, fork server and horse at once."""
AT_ONCE: Final = 0.5
"""The part of the jobs that is enqueued before the faults begin."""
BATCH: Final = 200
CANCEL_EVERY_S: Final = 0.03
END_S: Final = 180.0
"""How long the jobs may take to end after the last fault."""


def run_mixed(*, seed: int, jobs: int, horses: int, faults: int, window: int | None) -> Report:
    """Run it on a server of its own. Arguments as for `run_chaos`."""
    began, own = time.monotonic(), [f"chaos-{number}" for number in range(horses)]
    orders, cancelled = _orders(seed, jobs, own), set[str]()
    queues = [SHARED, *own]
    with private_server() as server, tempfile.TemporaryDirectory() as folder:
        journal = Path(folder, "journal")
        journal.touch()
        settings = notify.Settings(url=server.url, log_length=1_000_000, connect_timeout_s=1.0, command_timeout_s=2.0)
        storm = Storm(server, seed=seed, size=horses, journal=journal, window=window, kinds=KINDS, own_queues=own)
        with notify.connect(settings=settings) as bus, storm:
            with _enqueueing(bus, orders, seed) as enqueued, _cancelling(bus, orders, seed, cancelled):
                storm.blow(faults=faults, is_over=lambda: enqueued.is_set() and _ended(bus, queues) >= jobs)
            with suppress(TimeoutError):
                wait_until(lambda: _is_over(bus, queues, jobs), timeout_s=END_S)  # what is open after that, the account tells
            steps = read_journal(journal)
            account = account_for(bus, orders, steps, cancelled=cancelled)
            wrong = [fault for queue in own for fault in out_of_order(orders, steps, queue, _events(bus, queue))]
    account = Account(account.outcomes, account.runs, account.reruns, account.refused, [*account.faults, *wrong])
    return Report(jobs, storm.faults, account, [], time.monotonic() - began)


def out_of_order(orders: Sequence[Order], steps: Sequence[Step], queue: str, events: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield the jobs of a queue of one worker that began before one that was enqueued earlier.

    A job that was tried again is left out, and so is one that another worker put back, because its worker was dead: the next worker
    may have been faster.
    """
    place = {order.job_id: number for number, order in enumerate(orders) if order.queue == queue}
    last, last_id = -1, ""
    for job_id in dict.fromkeys(step.job for step in steps if step.what == "begun" and step.job in place):
        if "retried" in events[job_id] or list(events[job_id]).count("enqueued") > 1:
            continue
        if place[job_id] < last:
            yield f"{job_id} of {queue} began after {last_id}, which was enqueued later; events {events[job_id]}"
        else:
            last, last_id = place[job_id], job_id


def _orders(seed: int, count: int, own: Sequence[str]) -> list[Order]:
    """Return different jobs: two in five on a queue of one worker, one in four is retried, one in twenty always raises."""
    choice, orders = random.Random(seed), []
    for number in range(count):
        queue = choice.choice(own) if choice.random() < 0.4 else SHARED
        orders.append(Order(f"job-{number}", choice.random() < 0.05, False, "cancel", choice.choice([0, 0, 0, 3]), queue))
    return orders


def _seconds(choice: random.Random) -> float:
    """Most jobs are shorter than a millisecond, one in thirty is longer than those behind it wait, and a few take as long as a lease."""
    dice = choice.random()
    return choice.uniform(0.5, 2.0) if dice < 0.002 else choice.uniform(0.01, 0.1) if dice < 0.03 else choice.uniform(0.0, 0.001)


@contextmanager
def _enqueueing(bus: notify.Bus, orders: Sequence[Order], seed: int) -> Iterator[threading.Event]:
    """Enqueue some of the jobs, then the others in batches in a thread. Yields the event that all are enqueued."""
    choice, done = random.Random(seed), threading.Event()
    first = int(len(orders) * AT_ONCE)

    def put(some: Sequence[Order]) -> None:
        for name in {order.queue for order in some}:
            mine = [order for order in some if order.queue == name]
            queue = Queue(name, connection=bus.redis)
            try:
                queue.enqueue_many([_call(order, choice) for order in mine])
            except (notify.ServerError, redis.RedisError):
                for order in mine:
                    _enqueue_once(queue, order, choice)

    def go_on() -> None:
        at = first
        while at < len(orders):
            size = choice.randint(1, BATCH)
            put(orders[at : at + size])
            at += size
            threading.Event().wait(choice.uniform(0.0, 0.1))
        done.set()

    put(orders[:first])
    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield done
    finally:
        thread.join()


def _call(order: Order, choice: random.Random) -> Any:
    return Queue.prepare_data(fail if order.raises else work, [_seconds(choice)], job_id=order.job_id, retry=retry_of(order))


def _enqueue_once(queue: Queue, order: Order, choice: random.Random) -> None:
    """Enqueue a job unless it is there, for as long as the server is away."""
    while True:
        try:
            queue.enqueue(fail if order.raises else work, _seconds(choice), job_id=order.job_id, unique=True, retry=retry_of(order))
        except DuplicateJobError:
            return
        except notify.ServerError:
            threading.Event().wait(0.1)
        else:
            return


@contextmanager
def _cancelling(bus: notify.Bus, orders: Sequence[Order], seed: int, cancelled: set[str]) -> Iterator[None]:
    """Cancel jobs during the block, any and those that are started, each once. Adds their ids to the set."""
    choice, over = random.Random(seed + 1), threading.Event()

    def go_on() -> None:
        client: Any = bus.redis
        while not over.wait(CANCEL_EVERY_S):
            with suppress(notify.NotifyError, redis.RedisError):
                started = client.zrange(rq_keys.started(SHARED), 0, -1) if choice.random() < 0.5 else []
                job_id = choice.choice(started).decode().partition(":")[0] if started else choice.choice(orders).job_id
                if job_id not in cancelled and client.exists(rq_keys.job(job_id)):
                    cancelled.add(job_id)
                    Job(job_id, connection=bus.redis).cancel("chaos")

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _ended(bus: notify.Bus, queues: Sequence[str]) -> int:
    """Return how many jobs have ended; none while the server is away."""
    try:
        with bus.redis.pipeline(transaction=False) as pipe:
            for queue in queues:
                for registry in (rq_keys.finished, rq_keys.failed, rq_keys.canceled):
                    pipe.zcard(registry(queue))
            return sum(pipe.execute())
    except (notify.ServerError, redis.RedisError):
        return 0


def _is_over(bus: notify.Bus, queues: Sequence[str], jobs: int) -> bool:
    threading.Event().wait(0.2)
    return _ended(bus, queues) >= jobs and not any(bus.redis.scan_iter("rq:execution:*", count=1000))


def _events(bus: notify.Bus, queue: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in job_events(bus, queue):
        found.setdefault(each["job"], []).append(each["status"])
    return found
