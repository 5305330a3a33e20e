"""The job waiter: a token wakes one waiter, a job that nobody left a token for is found within a second, and nothing is taken."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import notify
from notify.server import SingleConnection
from notify.testing import PrivateServer, wait_until
from tests.support.sample_jobs import add
from workers import Queue, rq_keys
from workers.worker import waiter as waiter_module
from workers.worker.waiter import JobWaiter

QUEUES = [rq_keys.queue("one"), rq_keys.queue("two")]


@contextmanager
def waiting_at(bus: notify.Bus) -> Iterator[JobWaiter]:
    """A waiter with a connection of its own."""
    connection = SingleConnection(bus.redis.clone(name="waiting"))
    waiting = JobWaiter(connection)
    yield waiting
    waiting.close()
    connection.close()


@pytest.fixture
def waiter(bus: notify.Bus) -> Iterator[JobWaiter]:
    with waiting_at(bus) as waiting:
        yield waiting


def blocked(bus: notify.Bus) -> int:
    return sum("b" in client["flags"] for client in bus.redis.client_list())


def in_background(act: Any) -> threading.Thread:
    """Call something while the waiter waits."""
    thread = threading.Timer(0.2, act)
    thread.start()
    return thread


@pytest.mark.parametrize("name", ["one", "two"])
def test_a_new_job_on_any_queue_wakes_it_and_nothing_is_taken(bus: notify.Bus, waiter: JobWaiter, name: str) -> None:
    queue = Queue(name, connection=bus.redis)
    thread = in_background(lambda: [queue.enqueue(add, job_id=f"job-{number}") for number in range(3)])
    began = time.monotonic()
    assert waiter.wait(QUEUES, timeout_s=10)
    assert time.monotonic() - began < 0.9, "before the first look"
    thread.join()
    assert queue.get_job_ids() == ["job-0", "job-1", "job-2"]


def test_a_job_without_a_token_is_found_within_a_second_and_nothing_is_taken(bus: notify.Bus, waiter: JobWaiter) -> None:
    thread = in_background(lambda: bus.redis.rpush(QUEUES[1], "a", "b"))
    began = time.monotonic()
    assert waiter.wait(QUEUES, timeout_s=10)
    assert time.monotonic() - began < 3
    thread.join()
    assert bus.redis.lrange(QUEUES[1], 0, -1) == [b"a", b"b"]


def test_jobs_on_a_queue_that_another_worker_serves_wake_nobody_until_it_stops(bus: notify.Bus, waiter: JobWaiter) -> None:
    bus.redis.rpush(QUEUES[1], "a", "b")
    bus.redis.set(bus.keys.served("two"), "another", px=1_500)
    began = time.monotonic()
    assert waiter.wait(QUEUES, timeout_s=10)
    assert 1.5 < time.monotonic() - began < 5


@pytest.mark.parametrize("jobs", [1, 3])
def test_as_many_waiters_wake_as_there_are_new_jobs(bus: notify.Bus, jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiter_module, "BLOCK_S", 30.0)  # no look meanwhile
    queue, woken = Queue("one", connection=bus.redis), []
    with waiting_at(bus) as a, waiting_at(bus) as b, waiting_at(bus) as c, waiting_at(bus) as d:
        waiters = [a, b, c, d]
        threads = [threading.Thread(target=lambda each=each: woken.append(each.wait(QUEUES, timeout_s=10))) for each in waiters]
        for thread in threads:
            thread.start()
        wait_until(lambda: blocked(bus) == len(waiters))
        queue.enqueue_many([Queue.prepare_data(add) for _ in range(jobs)])
        wait_until(lambda: len(woken) == jobs)
        assert blocked(bus) == len(waiters) - jobs
        for each in waiters:
            each.wake()
        for thread in threads:
            thread.join()
    assert not bus.redis.exists(bus.keys.wake("one"))


def test_a_wait_over_an_empty_queue_ends_with_its_time(waiter: JobWaiter) -> None:
    began = time.monotonic()
    assert not waiter.wait(QUEUES, timeout_s=0.1)
    assert time.monotonic() - began >= 0.1


def test_a_wait_is_ended_from_anywhere_also_before_it_begins(waiter: JobWaiter) -> None:
    for queues in (QUEUES, []):
        waiter.wake()
        assert waiter.wait(queues, timeout_s=10)
        thread = in_background(waiter.wake)
        assert waiter.wait(queues, timeout_s=10)
        thread.join()
        assert not waiter.wait(queues, timeout_s=0.1)
    for _ in range(100_000):
        waiter.wake()  # it is never full


def test_a_wake_after_the_end_writes_nowhere(bus: notify.Bus) -> None:
    with waiting_at(bus) as closed:
        pass
    mine, other = os.pipe()
    closed.wake()
    os.set_blocking(mine, False)
    with pytest.raises(BlockingIOError):
        os.read(mine, 1)
    os.close(mine)
    os.close(other)


def test_a_wake_that_is_under_way_does_not_write_into_the_file_that_gets_its_number(
    bus: notify.Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, has_closed, write = threading.Event(), threading.Event(), os.write

    def write_late(file: int, data: bytes) -> int:
        if threading.current_thread() is waking:
            under_way.set()
            has_closed.wait(0.2)  # the other thread waits, too: this time is over
        return write(file, data)

    with waiting_at(bus) as waiter:
        waking = threading.Thread(target=waiter.wake)
        monkeypatch.setattr(os, "write", write_late)
        waking.start()
        assert under_way.wait(5)
    mine, other = os.pipe()  # they get the numbers that have become free
    has_closed.set()
    waking.join()
    os.set_blocking(mine, False)
    with pytest.raises(BlockingIOError):
        os.read(mine, 1)
    os.close(mine)
    os.close(other)


def test_a_cut_connection_is_an_error_and_the_next_wait_opens_another(bus: notify.Bus, waiter: JobWaiter) -> None:
    def cut() -> None:
        for client in bus.redis.client_list():
            if client["name"] == "notify:waiting":
                bus.redis.client_kill_filter(_id=client["id"])

    thread = in_background(cut)
    with pytest.raises(notify.ServerUnreachableError, match="waiting for a job"):
        waiter.wait(QUEUES, timeout_s=10)
    thread.join()
    bus.redis.rpush(QUEUES[0], "a")
    assert waiter.wait(QUEUES, timeout_s=5)


def test_a_server_that_hangs_is_noticed_within_two_probes(own_server: PrivateServer) -> None:
    with notify.connect(own_server.url) as bus, waiting_at(bus) as waiting:
        assert not waiting.wait(QUEUES, timeout_s=0.1)
        own_server.freeze()
        began = time.monotonic()
        with pytest.raises(notify.ServerUnreachableError, match="no answer"):
            waiting.wait(QUEUES, timeout_s=20)
        assert time.monotonic() - began < 4
        own_server.thaw()
