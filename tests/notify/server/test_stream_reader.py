"""The stream reader: a blocking read that continues after a lost connection, and that another thread can end."""

import threading
import time

import pytest

from notify.server.stream_reader import StreamReader
from notify.testing import wait_until

LOG = "notify:log:t"


@pytest.fixture
def reader(bus):
    opened = StreamReader(bus.redis, name="reader")
    yield opened
    opened.close()


def _add(bus, value):
    return bus.redis.xadd(LOG, {"n": value}).decode()


def _connections(bus):
    return [client for client in bus.redis.client_list() if client["name"] == "notify:reader"]


def _read(reader, after):
    """Read until there are entries, and return their values."""
    entries = wait_until(lambda: reader.read({LOG: after}))[LOG]
    return [fields[b"n"] for _, fields in entries]


@pytest.fixture(autouse=True)
def _no_log_left(bus):
    yield
    bus.redis.delete(LOG)


def test_entries_after_a_position_are_read_at_most_so_many_at_once(bus, reader):
    first = _add(bus, 1)
    for number in range(2, 5):
        _add(bus, number)
    assert _read(reader, first) == [b"2", b"3", b"4"]
    assert len(reader.read({LOG: "0"}, count=2)[LOG]) == 2


def test_a_lost_connection_is_opened_again_and_no_entry_is_missed(bus, reader):
    first = _add(bus, 1)
    assert _read(reader, "0") == [b"1"]
    bus.redis.client_kill_filter(_id=_connections(bus)[0]["id"])
    wait_until(lambda: not _connections(bus))
    _add(bus, 2)
    assert _read(reader, first) == [b"2"]


def test_stop_ends_a_read_in_another_thread_and_commands_still_work(bus, reader):
    answers = []
    reading = threading.Thread(target=lambda: answers.append(reader.read({LOG: "$"})))
    reading.start()
    wait_until(lambda: any(client["cmd"] == "xread" for client in _connections(bus)))
    began = time.monotonic()
    reader.stop()
    reading.join()
    assert time.monotonic() - began < 0.9
    assert answers == [{}]
    assert (reader.is_stopped, reader.is_closing) == (True, False)
    assert reader.client.exchange("PING") == b"PONG"


def test_interrupt_ends_a_pause(reader):
    reader._backoff.failed("an outage")
    reader._backoff._began_at -= 60
    pausing = threading.Thread(target=reader.pause, args=(OSError("away"),))
    pausing.start()
    began = time.monotonic()
    reader.interrupt()
    pausing.join()
    assert time.monotonic() - began < 0.9
    assert reader.is_closing
    assert reader.read({LOG: "0"}) == {}


def test_trimming_deletes_the_entries_before_an_id(bus, reader):
    _add(bus, 1)
    second = _add(bus, 2)
    reader.trim(LOG, second)
    assert _read(reader, "0") == [b"2"]
