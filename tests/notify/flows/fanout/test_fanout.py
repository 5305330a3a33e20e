"""The fan-out: bounded queues, gaps in their places, and nobody waits for a slow client. It is tried without any socket."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify import WiringError
from notify.flows.fanout import ClientQueue, Fanout, QueueLimits

pytestmark = pytest.mark.any_server


class Client:
    """A client that takes bytes while it is told to."""

    def __init__(self, *, can_write: bool = True) -> None:
        self.can_write = can_write
        self.got: list[bytes] = []
        self.reason = ""
        self.once = False

    def write(self, data: bytes) -> None:
        self.got.append(data)
        if self.once:
            self.can_write = False

    def disconnect(self, reason: str) -> None:
        self.reason = reason

    @property
    def lines(self) -> list[str]:
        return b"".join(self.got).decode().splitlines()

    def take(self, queue: ClientQueue) -> None:
        """Take one piece."""
        self.once = self.can_write = True
        queue.pump()
        self.can_write = False


def fanout(when_full: Any = "drop_oldest", max_items: int = 3, max_bytes: int = 1_000) -> Fanout:
    return Fanout(QueueLimits(when_full, max_items, max_bytes), lambda count: f"gap {count}\n".encode())


def frames(*numbers: int) -> list[bytes]:
    return [f"{number}\n".encode() for number in numbers]


def test_K6_a_client_that_does_not_read_delays_nobody_and_costs_bounded_memory() -> None:
    out = fanout()
    reads, reads_not = Client(), Client(can_write=False)
    out.add().attach(reads)
    slow = out.add()
    slow.attach(reads_not)
    for number in range(1_000):
        out.send(frames(number))
    assert reads.lines == [str(number) for number in range(1_000)]
    assert slow.items == 3
    assert slow.size == len(b"997\n998\n999\n")
    assert out.dropped == 997
    reads_not.take(slow)
    assert reads_not.lines == ["gap 997", "997", "998", "999"]


def test_K6_a_client_gets_what_is_sent_while_it_is_connected() -> None:
    out = fanout()
    first, second = Client(), Client()
    queue = out.add()
    queue.attach(first)
    out.send(frames(1))
    out.add().attach(second)
    out.send(frames(2))
    out.remove(queue)
    out.send(frames(3))
    assert (first.lines, second.lines) == (["1", "2"], ["2", "3"])
    assert out.remove(queue) == 0


def test_a_client_may_be_disconnected_when_its_queue_is_full() -> None:
    out = fanout("disconnect")
    reads_not = Client(can_write=False)
    queue = out.add()
    queue.attach(reads_not)
    out.send(frames(1, 2, 3))
    assert not reads_not.reason
    out.send(frames(4))
    assert "4 frames waited, since it reads too slowly: read faster" in reads_not.reason
    assert (queue.items, queue.size, out.dropped) == (0, 0, 4)


@given(st.lists(st.one_of(st.just("take"), st.integers(1, 6)), max_size=60), st.integers(1, 8), st.sampled_from([5, 12, 1_000]))
def test_every_frame_arrives_in_order_or_is_counted_in_a_gap_in_its_place(steps: list[Any], max_items: int, max_bytes: int) -> None:
    out = fanout(max_items=max_items, max_bytes=max_bytes)
    client = Client(can_write=False)
    queue = out.add()
    queue.attach(client)
    number = 0
    for step in [*steps, "take"]:
        if step == "take":
            client.take(queue)
        else:
            out.send(frames(*range(number, number + step)))
            number += step
        assert queue.items <= max_items
        assert queue.size <= max_bytes
    while queue.items:
        client.take(queue)
    expected = 0
    for line in client.lines:
        if line.startswith("gap "):
            expected += int(line.removeprefix("gap "))
        else:
            assert int(line) == expected
            expected += 1
    assert expected + queue._gap_items == number
    assert queue.size == queue.items == 0


def test_a_flow_may_wait_for_its_clients() -> None:
    async def scenario() -> None:
        out = fanout("wait")
        client = Client(can_write=False)
        queue = out.add()
        queue.attach(client)
        out.send(frames(1, 2, 3, 4))
        waiting = asyncio.ensure_future(out.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        client.can_write = True
        queue.pump()
        await asyncio.wait_for(waiting, 5)
        assert client.lines == ["1", "2", "3", "4"]
        assert out.dropped == 0
        await asyncio.wait_for(out.drained(), 5)

    asyncio.run(scenario())


def test_a_wait_ends_when_the_client_is_gone() -> None:
    async def scenario() -> None:
        out = fanout("wait")
        queue = out.add()
        out.send(frames(1, 2, 3, 4))
        waiting = asyncio.ensure_future(out.room())
        await asyncio.sleep(0)
        assert out.remove(queue) == 4
        await asyncio.wait_for(waiting, 5)
        assert out.dropped == 4

    asyncio.run(scenario())


def test_what_waits_is_kept_for_the_next_connection() -> None:
    out = fanout("wait")
    queue = out.add()
    out.send(frames(1))
    first, second = Client(), Client()
    queue.attach(first)
    queue.detach()
    out.send(frames(2, 3))
    queue.attach(second)
    assert (first.lines, second.lines) == (["1"], ["2", "3"])


@given(st.lists(st.one_of(st.just("take"), st.just("break"), st.integers(1, 4)), max_size=40))
def test_what_a_lost_client_had_not_taken_whole_is_sent_again(steps: list[Any]) -> None:
    out = fanout("wait", max_items=1_000)
    queue = out.add()
    clients = [Client(can_write=False)]
    queue.attach(clients[-1])
    number = 0
    whole: list[str] = []  # what the clients took for certain
    for step in [*steps, "break"]:
        if step == "take":
            whole += clients[-1].lines
            clients[-1].got.clear()
            clients[-1].take(queue)
        elif step == "break":
            queue.detach()
            clients.append(Client(can_write=False))
            queue.attach(clients[-1])
        else:
            out.send(frames(*range(number, number + step)))
            number += step
    while queue.is_busy:
        clients[-1].once = False
        clients[-1].can_write = True
        queue.pump()
    lines = whole + clients[-1].lines
    assert sorted(set(map(int, lines))) == list(range(number))
    assert [line for position, line in enumerate(lines) if line not in lines[:position]] == [str(each) for each in range(number)]
    assert queue.size == queue.items == 0


@pytest.mark.parametrize("limits", [{"when_full": "drop"}, {"max_items": 0}, {"max_bytes": True}])
def test_wrong_limits_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(WiringError, match="give"):
        QueueLimits(**limits)
