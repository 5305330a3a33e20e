"""A contract with redis-py: what `notify.server.raw` relies on, checked against the version that is installed.

When a new redis-py breaks one of these tests, only ``notify/server/raw.py`` has to be adapted.
"""

import inspect
import re
import select
import socket
import threading
import time
from pathlib import Path

import pytest
import redis
from redis.connection import ConnectionInterface

import notify
from notify.server.raw import (
    RawConnection,
    connect_within,
    file_number,
    is_stale,
    make_raw,
    read_within,
    release_raw,
    send_raw,
    shut_down,
    take_raw,
)
from notify.testing import wait_until


@pytest.fixture
def pool(bus):
    client = bus.redis.clone(name="raw")
    yield client.connection_pool
    client.close()


@pytest.fixture
def connection(pool):
    taken = take_raw(pool)
    yield taken
    taken.disconnect()
    release_raw(pool, taken)


def _methods():
    return [name for name, member in vars(RawConnection).items() if not name.startswith("_") and callable(member)]


@pytest.mark.parametrize("kind", [redis.Connection, redis.SSLConnection, redis.UnixDomainSocketConnection])
@pytest.mark.parametrize("method", _methods())
def test_each_kind_of_connection_has_the_methods_and_their_parameters(kind, method):
    assert issubclass(kind, ConnectionInterface)
    theirs = inspect.signature(getattr(kind, method)).parameters
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in theirs.values())
    for name, parameter in inspect.signature(getattr(RawConnection, method)).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            assert name in theirs or takes_any


def test_a_connection_is_connected_until_it_is_disconnected(connection):
    assert connection.is_connected
    assert {type(connection.socket_timeout), type(connection.socket_connect_timeout)} <= {float, int}
    connection.disconnect()
    assert not connection.is_connected


def test_a_command_is_answered_in_plain_bytes_and_a_refusal_is_raised(connection):
    connection.send_command("ECHO", "é", check_health=False)
    assert connection.read_response() == "é".encode()
    connection.send_command("NO-SUCH-COMMAND")
    with pytest.raises(redis.ResponseError):
        connection.read_response()
    assert connection.is_connected


def test_an_answer_has_its_own_timeout_and_its_lateness_closes_the_connection(connection):
    connection.send_command("BLPOP", "nothing", "0.5")
    with pytest.raises(redis.TimeoutError):
        connection.read_response(timeout=0.05)
    assert not connection.is_connected


def test_a_made_connection_connects_when_it_sends(pool):
    made = make_raw(pool)
    assert not made.is_connected
    made.send_command("PING")
    assert made.read_response() == b"PONG"
    made.disconnect()


def test_connecting_within_a_time_leaves_the_timeouts_as_they_were(connection):
    before = connection.socket_timeout, connection.socket_connect_timeout
    connection.disconnect()
    connect_within(connection, 0.2)
    assert (connection.socket_timeout, connection.socket_connect_timeout) == before
    connection.send_command("BLPOP", "nothing", "0.4")
    assert connection.read_response() is None


def test_connecting_within_a_time_gives_up_in_that_time(connection):
    connection.disconnect()
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        silent = redis.Connection(port=deaf.getsockname()[1], client_name="raw")
        began = time.monotonic()
        with pytest.raises(redis.TimeoutError):
            connect_within(silent, 0.1)
        assert time.monotonic() - began < 2
        silent.disconnect()


def test_an_idle_connection_is_stale_once_the_server_closed_it(bus, connection):
    assert not is_stale(connection)
    connection.send_command("CLIENT", "ID")
    bus.redis.client_kill_filter(_id=connection.read_response())
    wait_until(lambda: is_stale(connection))


def test_an_idle_connection_is_stale_if_an_answer_is_there(connection):
    connection.send_command("ECHO", "late")
    wait_until(lambda: is_stale(connection))
    connection.disconnect()
    assert not is_stale(connection)


def test_reading_within_a_time_keeps_the_beginning_of_an_answer():
    """Half an answer is there when the time is over; the rest comes later."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = redis.Connection(protocol=2)
        connection._connect = lambda: ours
        connection.on_connect_check_health = lambda check_health=True: connection._parser.on_connect(connection)
        connection.connect()
        assert read_within(connection, 0.0) is None
        theirs.sendall(b"*2\r\n$3\r\none")
        assert read_within(connection, 0.05) is None
        assert connection.is_connected
        theirs.sendall(b"\r\n$3\r\ntwo\r\n")
        assert read_within(connection, 1.0) == [b"one", b"two"]
        theirs.close()
        with pytest.raises(redis.ConnectionError):
            read_within(connection, 1.0)
        connection.disconnect()


def test_a_callback_is_called_whenever_the_connection_connects_again(connection):
    called = []

    class Subscriber:
        def subscribe(self, connected):
            called.append(connected)

    subscriber = Subscriber()
    connection.register_connect_callback(subscriber.subscribe)
    connection.disconnect()
    connection.connect()
    assert called == [connection]
    connection.deregister_connect_callback(subscriber.subscribe)
    connection.disconnect()
    connection.connect()
    assert called == [connection]


def test_a_file_number_can_be_polled(connection):
    poll = select.poll()
    poll.register(file_number(connection), select.POLLIN)
    assert poll.poll(0) == []
    connection.send_command("PING")
    assert poll.poll(5_000) == [(file_number(connection), select.POLLIN)]
    assert connection.read_response() == b"PONG"


def test_shutting_down_ends_the_wait_of_another_thread(connection):
    ended = []

    def wait():
        try:
            connection.send_command("BLPOP", "nothing", "5")
            connection.read_response()
        except (redis.RedisError, OSError) as exc:
            ended.append(exc)

    waiting = threading.Thread(target=wait)
    began = time.monotonic()
    waiting.start()
    wait_until(lambda: not shut_down(connection) and ended)
    waiting.join()
    assert time.monotonic() - began < 3
    shut_down(connection)  # once more does no harm


def test_no_other_module_uses_what_redis_py_does_not_promise():
    inner = re.compile(r"\._sock\b|update_current_socket_timeout|redis\._|Any = .*(get|make)_connection\(")
    folders = [Path(notify.__file__).parent.with_name(name) for name in ("notify", "workers", "cli")]
    users = [path.name for folder in folders for path in folder.rglob("*.py") if inner.search(path.read_text())]
    assert users == ["raw.py"]


def test_a_command_is_sent_as_redis_py_sends_it(connection):
    command = ("ECHO", "\N{SNOWMAN} text")
    for send in (lambda: connection.send_command(*command), lambda: send_raw(connection, command)):
        send()
        assert connection.read_response().decode() == command[1]
    send_raw(connection, ("SETRANGE", b"k", 3, "x"), check_health=False)
    assert connection.read_response() == 4
    send_raw(connection, ("DEL", b"k"))
    assert connection.read_response() == 1


def test_a_command_that_cannot_be_sent_leaves_the_connection_as_it_was(connection):
    with pytest.raises(redis.DataError):
        send_raw(connection, ("ECHO", None))
    send_raw(connection, ("PING",))
    assert connection.read_response() == b"PONG"
