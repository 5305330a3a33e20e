"""The job waiter: a job pushed onto a queue by anybody wakes it, and it takes nothing."""

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import rq

import notify
from notify.testing import PrivateServer, wait_until
from tests.support.faults import commands_during
from workers import rq_keys
from workers.worker import waiter as waiter_module
from workers.worker.waiter import JobWaiter

QUEUES = [rq_keys.queue("one"), rq_keys.queue("two")]


@pytest.fixture
def waiter(bus: notify.Bus) -> Iterator[JobWaiter]:
    waiting = JobWaiter(bus.redis, name="waiting")
    yield waiting
    waiting.close()


def in_background(act: Any) -> threading.Thread:
    """Call something while the waiter waits."""
    thread = threading.Timer(0.2, act)
    thread.start()
    return thread


@pytest.mark.parametrize("name", ["one", "two"])
def test_a_job_of_plain_rq_on_any_queue_wakes_it_and_nothing_is_taken(bus: notify.Bus, waiter: JobWaiter, name: str) -> None:
    plain = rq.Queue(name, connection=redis.Redis(connection_pool=bus.redis.connection_pool), serializer="json")
    thread = in_background(lambda: [plain.enqueue("a.b", job_id=f"job-{number}") for number in range(3)])
    began = time.monotonic()
    assert waiter.wait(QUEUES, timeout_s=10)
    assert time.monotonic() - began < 5
    thread.join()
    assert plain.get_job_ids() == ["job-0", "job-1", "job-2"]


def test_a_job_that_is_there_already_wakes_it_at_once(bus: notify.Bus, waiter: JobWaiter) -> None:
    bus.redis.rpush(QUEUES[1], "a", "b")
    for _ in range(3):
        assert waiter.wait(QUEUES, timeout_s=5)
    assert bus.redis.lrange(QUEUES[1], 0, -1) == [b"a", b"b"]


def test_a_job_wakes_all_waiters(bus: notify.Bus) -> None:
    woken: list[bool] = []
    waiters = [JobWaiter(bus.redis, name=f"waiting-{number}") for number in range(5)]
    threads = [threading.Thread(target=lambda each=each: woken.append(each.wait(QUEUES, timeout_s=10))) for each in waiters]
    for thread in threads:
        thread.start()
    wait_until(lambda: sum("blmove" in client["cmd"] for client in bus.redis.client_list()) == 10)
    bus.redis.rpush(QUEUES[0], "a")
    for thread in threads:
        thread.join()
    for each in waiters:
        each.close()
    assert woken == [True] * 5
    assert bus.redis.lrange(QUEUES[0], 0, -1) == [b"a"]


def test_neither_an_empty_queue_nor_an_earlier_job_wakes_it(bus: notify.Bus, waiter: JobWaiter) -> None:
    bus.redis.rpush(QUEUES[0], "a")
    assert waiter.wait(QUEUES, timeout_s=5)
    bus.redis.rpush(QUEUES[1], "b")
    bus.redis.delete(*QUEUES)
    assert not waiter.wait(QUEUES, timeout_s=0.2)


def test_a_wait_that_goes_on_sends_nothing(bus: notify.Bus, waiter: JobWaiter) -> None:
    waiter.wait(QUEUES, timeout_s=0.1)
    assert commands_during(bus.redis, lambda: waiter.wait(QUEUES, timeout_s=0.2)) == []


def test_it_asks_again_when_the_server_has_answered_that_nothing_came(
    bus: notify.Bus, waiter: JobWaiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiter_module, "BLOCK_S", 0.1)
    assert not waiter.wait(QUEUES, timeout_s=5)
    bus.redis.rpush(QUEUES[0], "a")
    assert waiter.wait(QUEUES, timeout_s=5)


def test_a_wait_is_ended_from_anywhere_also_before_it_begins(waiter: JobWaiter) -> None:
    waiter.wake()
    assert waiter.wait(QUEUES, timeout_s=10)
    thread = in_background(waiter.wake)
    assert waiter.wait(QUEUES, timeout_s=10)
    thread.join()
    assert not waiter.wait(QUEUES, timeout_s=0.1)
    for _ in range(100_000):
        waiter.wake()  # it is never full


def test_a_wake_after_the_end_writes_nowhere(bus: notify.Bus) -> None:
    closed = JobWaiter(bus.redis, name="waiting")
    closed.close()
    mine, other = os.pipe()
    closed.wake()
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


def test_a_server_that_hangs_is_found_out(own_server: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiter_module, "BLOCK_S", 0.2)
    monkeypatch.setattr(waiter_module, "GRACE_S", 0.3)
    with notify.connect(own_server.url) as bus:
        waiting = JobWaiter(bus.redis, name="waiting")
        waiting.wait(QUEUES, timeout_s=0.1)
        own_server.freeze()
        assert not waiting.wait(QUEUES, timeout_s=0.6)
        with pytest.raises(notify.ServerUnreachableError, match="no answer"):
            waiting.wait(QUEUES, timeout_s=0.1)
        own_server.thaw()
        waiting.close()
