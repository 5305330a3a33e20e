"""Messages between a worker and its horse, through the channel."""

import socket
import threading
from collections.abc import Iterator

import pytest

from workers.horse.channel import Channel, Reply, Task
from workers.scripts.run import Ended, Run

pytestmark = pytest.mark.any_server


TASK = Task("j", "f", "work", {b"data": b"\xff" * 2_000_000, b"origin": "wörk".encode()})


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Channel]]:
    raw, other = socket.socketpair()
    with raw, other:
        yield raw, Channel(other)


@pytest.mark.parametrize("reply", [Reply(), Reply(problem="why", retires=True), Reply(ended=Ended(Run("j", "f"), 1.5, 2.5, b"bnVsbA=="))])
def test_a_message_arrives_as_it_was_sent(ends: tuple[socket.socket, Channel], reply: Reply) -> None:
    raw, channel = ends
    for _ in range(2):
        Channel(raw).send(reply)
        assert channel.take(Reply) == reply


def test_a_message_in_pieces_is_taken_when_it_is_whole(ends: tuple[socket.socket, Channel]) -> None:
    raw, channel = ends
    left, right = socket.socketpair()
    with left, right:
        Channel(left).send(Reply(problem="x" * 100))
        whole = right.recv(1000)
    for byte in whole[:-1]:
        raw.sendall(bytes([byte]))
        assert channel.take(Reply) is None
    raw.sendall(whole[-1:])
    assert channel.take(Reply) == Reply(problem="x" * 100)


def test_a_message_larger_than_any_buffer_arrives(ends: tuple[socket.socket, Channel]) -> None:
    raw, channel = ends
    sender = threading.Thread(target=Channel(raw).send, args=(TASK,))
    sender.start()
    taken = None
    while taken is None:
        taken = channel.take(Task)
    sender.join()
    assert taken == TASK


def test_the_end_of_the_other_side_is_an_end(ends: tuple[socket.socket, Channel]) -> None:
    raw, channel = ends
    raw.sendall(b"\0\0")
    raw.close()
    assert channel.take(Reply) is None
    with pytest.raises(EOFError):
        channel.take(Reply)
    with pytest.raises(OSError, match="pipe"):
        channel.send(Reply())
