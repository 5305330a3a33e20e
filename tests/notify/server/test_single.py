"""The client of one thread: a command may be sent before its answer is asked for, and others in between."""

from collections.abc import Iterator

import pytest
import redis

import notify
from notify.server import SingleConnection


@pytest.fixture
def connection(bus: notify.Bus) -> Iterator[SingleConnection]:
    client = SingleConnection(bus.redis.clone(name="single"))
    yield client
    client.close()


def test_an_answer_is_received_after_its_command_was_sent(connection: SingleConnection) -> None:
    connection.send("ECHO", "a")
    assert connection.receive() == b"a"


def test_commands_in_between_get_their_own_answers(connection: SingleConnection) -> None:
    connection.send("ECHO", "a")
    assert [connection.exchange("ECHO", "b"), connection.exchange("ECHO", "c")] == [b"b", b"c"]
    assert connection.receive() == b"a"
    connection.send("ECHO", "d")
    assert connection.receive() == b"d"


def test_an_error_is_raised_to_whoever_asks_for_the_answer(connection: SingleConnection) -> None:
    connection.send("LPOP")
    assert connection.exchange("ECHO", "b") == b"b"
    with pytest.raises(redis.ResponseError, match="wrong number of arguments"):
        connection.receive()


@pytest.mark.parametrize("between", [[], ["b"]])
def test_an_answer_that_is_not_asked_for_is_forgotten(connection: SingleConnection, between: list[str]) -> None:
    connection.send("ECHO", "a")
    for text in between:
        connection.exchange("ECHO", text)
    connection.send("ECHO", "c")
    assert connection.receive() == b"c"


def test_an_answer_that_is_owed_is_no_answer_to_a_later_command(connection: SingleConnection) -> None:
    connection.send("ECHO", "a")
    connection.send("ECHO", "b")
    assert connection.receive() == b"b"
    assert connection.exchange("ECHO", "c") == b"c"


def test_the_answer_is_lost_with_its_connection(connection: SingleConnection) -> None:
    """Another connection would never bring it: to wait for it there would take until the timeout."""
    connection.send("ECHO", "a")
    connection.drop()
    assert connection.exchange("ECHO", "b") == b"b"
    with pytest.raises(redis.ConnectionError, match="before the answer came"):
        connection.receive()


def test_a_connection_is_ready_unless_it_is_closed_or_owes_an_answer(bus: notify.Bus, connection: SingleConnection) -> None:
    assert not connection.is_ready
    connection.exchange("PING")
    assert connection.is_ready
    connection.send("ECHO", "a")
    assert not connection.is_ready
    connection.receive()
    bus.redis.client_kill_filter(_id=connection.exchange("CLIENT", "ID"))
    assert not connection.is_ready


def test_it_knows_whether_an_answer_has_arrived(bus: notify.Bus, connection: SingleConnection) -> None:
    connection.send("BLPOP", "list", 5)
    assert not connection.has_answer()
    bus.redis.rpush("list", "a")
    assert connection.receive() == [b"list", b"a"]
    connection.send("PING")
    bus.redis.client_kill_filter(_id=bus.redis.client_list(_type="normal")[-1]["id"])
    connection.receive()
    assert connection.has_answer()
