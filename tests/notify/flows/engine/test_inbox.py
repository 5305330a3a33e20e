"""The queues in front of a stage: turns, shares, and waits that no wake-up is lost for."""

import asyncio
import threading
from typing import Any

import pytest

from notify.flows.engine.inbox import AsyncParker, Inbox, Inputs, ThreadParker

pytestmark = pytest.mark.any_server


def test_a_stage_takes_items_of_each_node_in_turn() -> None:
    inputs = Inputs({"busy": 1, "other": 1}, 1_000, ThreadParker())
    for _ in range(400):
        inputs.inbox_for("busy").put("busy")
    inputs.inbox_for("other").put("other")
    assert len(inputs) == 401
    assert inputs.gather()
    assert "other" in inputs.front.items
    assert len(inputs) == 401
    assert list(inputs.take_rest()).count("busy") == 400
    assert not inputs.gather()


@pytest.mark.parametrize(("nodes", "max_items", "share"), [(1, 10, 10), (2, 10, 5), (3, 10, 3), (3, 1, 1)])
def test_each_node_has_its_share_of_the_queue(nodes: int, max_items: int, share: int) -> None:
    inputs = Inputs({str(number): 1 for number in range(nodes)}, max_items, ThreadParker())
    inbox = inputs.inbox_for("0")
    assert [inbox.put(number) for number in range(share)] == [False] * (share - 1) + [True]


def test_the_items_of_one_node_keep_their_order_by_whatever_links_they_come() -> None:
    inputs = Inputs({"split": 2, "other": 1}, 1_000, ThreadParker())
    for number in range(10):
        inputs.inbox_for("split").put(number)
    inputs.gather()
    assert list(inputs.front.items) == list(range(10))
    inputs.inbox_for("split").end_input()
    inputs.inbox_for("other").end_input()
    assert not inputs.are_over
    inputs.inbox_for("split").end_input()
    assert inputs.are_over


def pass_through(inbox: Inbox, items: int, sleeps: threading.Event) -> list[Any]:
    """Take items in this thread as a stage does, with a wait at each empty queue."""
    got: list[Any] = []
    while len(got) < items:
        if not inbox.items:
            inbox.is_waiting = True
            if not inbox.items:
                assert isinstance(inbox.parker, ThreadParker)
                inbox.parker.block(5)
            inbox.is_waiting = False
            continue
        got.append(inbox.items.popleft())
        if inbox.blocked and len(inbox.items) <= inbox.low:
            inbox.unblock()
    sleeps.set()
    return got


@pytest.mark.parametrize("max_items", [1, 2, 100])
def test_no_wake_up_is_lost_between_a_thread_that_puts_and_one_that_takes(max_items: int) -> None:
    inbox, parker, done = Inbox(max_items, ThreadParker(), 1), ThreadParker(), threading.Event()

    async def put_all() -> None:
        for number in range(3_000):
            if inbox.put(number):
                while len(inbox.items) >= max_items:
                    await inbox.room(parker)

    def run() -> None:
        with pytest.raises(StopIteration):
            put_all().send(None)  # in a thread the coroutine never suspends

    thread = threading.Thread(target=run)
    thread.start()
    assert pass_through(inbox, 3_000, done) == list(range(3_000))
    thread.join(5)


def test_a_wait_in_the_event_loop_ends_by_a_set_of_any_thread_and_by_its_time() -> None:
    async def wait() -> None:
        parker = AsyncParker(asyncio.get_running_loop())
        await parker.wait(0.001)
        threading.Thread(target=parker.set).start()
        await parker.wait(5)
        parker.set()  # before the wait, from the loop itself
        await parker.wait(5)
        kept.append(parker)

    kept: list[AsyncParker] = []
    asyncio.run(wait())
    kept[0].set()  # the loop is closed: nobody waits any more
