"""The direct connection, which is kept for single commands."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

import notify
from notify.server.direct import SMALL_POOL, DirectConnection
from notify.testing import wait_until


@pytest.fixture
def pool(bus):
    client = bus.redis.clone(name="direct")
    yield client.connection_pool
    client.close()


def _connections(bus):
    return [client for client in bus.redis.client_list() if client["name"] == "notify:direct"]


def test_consecutive_commands_share_one_connection(bus, pool):
    direct = DirectConnection(pool, keep=True)
    first = direct.exchange("CLIENT", "ID")
    assert [direct.exchange("CLIENT", "ID") for _ in range(3)] == [first] * 3
    assert len(_connections(bus)) == 1


def test_concurrent_threads_each_get_the_answer_to_their_own_command(bus, pool):
    direct = DirectConnection(pool, keep=True)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: direct.exchange("ECHO", str(n)), range(2_000)))
    assert answers == [str(n).encode() for n in range(2_000)]


def test_a_connection_closed_by_the_server_is_replaced_before_the_next_command(bus, pool):
    """The kept connection is checked before each command, so no command has to be sent twice."""
    direct = DirectConnection(pool, keep=True)
    for _ in range(5):
        bus.redis.client_kill_filter(_id=direct.exchange("CLIENT", "ID"))
        wait_until(lambda: not _connections(bus))
        assert direct.exchange("PING") == b"PONG"


def test_a_late_answer_is_not_taken_for_the_answer_to_the_next_command(pool):
    direct = DirectConnection(pool, keep=True)
    direct.exchange("PING")
    direct._kept[0].send_command("ECHO", "late")
    wait_until(lambda: direct._kept[0].can_read())
    assert direct.exchange("ECHO", "mine") == b"mine"


def test_an_answer_later_than_its_timeout_closes_the_connection(pool):
    """The answer is not awaited any longer, and no later command takes it for its own."""
    direct = DirectConnection(pool, keep=True)
    for _ in range(2):  # with an open connection, and without one
        with pytest.raises(redis.TimeoutError):
            direct.exchange("BLPOP", "nothing", "0.5", timeout_s=0.05)
        assert not direct._kept[0].is_connected
    assert direct.exchange("ECHO", "mine", timeout_s=5) == b"mine"


def test_the_timeout_of_one_command_does_not_apply_to_the_next(pool):
    direct = DirectConnection(pool, keep=True)
    direct.exchange("PING")
    direct._kept[0].disconnect()
    assert direct.exchange("PING", timeout_s=0.2) == b"PONG"
    assert direct.exchange("BLPOP", "nothing", "0.4") is None


def test_the_twin_without_the_check_takes_the_wrong_answer(pool):
    connection = pool.get_connection()
    connection.send_command("ECHO", "late")
    connection.send_command("ECHO", "mine")
    assert connection.read_response() == b"late"
    connection.disconnect()
    pool.release(connection)


def test_no_connection_is_kept_out_of_a_small_or_a_foreign_pool(bus):
    options = bus.redis.connection_pool.connection_kwargs
    small = redis.ConnectionPool(bus.redis.connection_pool.connection_class, max_connections=SMALL_POOL, **options)
    for direct in (DirectConnection(small, keep=True), DirectConnection(bus.redis.connection_pool, keep=False)):
        assert direct.exchange("PING") == b"PONG"
        assert direct._kept == []
    small.disconnect()


def test_an_error_reply_is_raised_and_the_connection_stays(bus, pool):
    direct = DirectConnection(pool, keep=True)
    first = direct.exchange("CLIENT", "ID")
    with pytest.raises(redis.ResponseError):
        direct.exchange("NO-SUCH-COMMAND")
    assert direct.exchange("CLIENT", "ID") == first


def test_after_a_fork_the_child_has_a_connection_of_its_own(bus):
    """On a shared connection each process would get some of the other's answers."""
    mine = bus.redis.exchange("CLIENT", "ID")
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, str(bus.redis.exchange("CLIENT", "ID")).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(reading, 20)) != mine
    assert bus.redis.exchange("CLIENT", "ID") == mine
    os.close(reading)
    os.close(writing)


def test_closing_the_bus_closes_the_kept_connection(bus):
    with notify.connect(str(bus.settings.url)) as other:
        mine = {other.redis.exchange("CLIENT", "ID")}
    wait_until(lambda: not mine & {int(client["id"]) for client in bus.redis.client_list()})


def test_a_timed_out_command_leaves_no_answer_for_the_next_command(server):
    settings = notify.Settings(url=server.url, command_timeout_s=0.2)
    with notify.connect(settings=settings) as hasty:
        hasty.redis.exchange("CLIENT", "PAUSE", 600)
        with pytest.raises(redis.TimeoutError):
            hasty.redis.exchange("ECHO", "late")
        wait_until(lambda: _echo(hasty) is not None)
        assert _echo(hasty) == b"mine"


def _echo(bus):
    try:
        return bus.redis.exchange("ECHO", "mine")
    except redis.TimeoutError:
        return None


class Staying(redis.UnixDomainSocketConnection):
    """Stays connected after a timeout, as redis-py's connections to the master of a Sentinel do."""

    def read_response(self, *args, **kwargs):
        return super().read_response(*args, **{**kwargs, "disconnect_on_error": False})


def test_a_timed_out_connection_is_closed_also_where_redis_py_keeps_it_open(bus):
    pool = redis.ConnectionPool(Staying, path=bus.redis.connection_pool.connection_kwargs["path"], socket_timeout=0.2)
    direct = DirectConnection(pool, keep=True)
    direct.exchange("CLIENT", "PAUSE", 300)
    with pytest.raises(redis.TimeoutError):
        direct.exchange("ECHO", "late")
    assert not direct._kept[0].is_connected
    bus.redis.execute_command("CLIENT", "UNPAUSE")
    pool.disconnect()
