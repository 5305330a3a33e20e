"""Calls when an answer of the server is lost: nothing runs twice, and no call waits for ever."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

import notify
from notify import RequestTimeoutError, ServerUnreachableError
from notify.requests.scripts import RequestScripts
from notify.testing import PrivateServer, fake_bus, wait_until
from tests.support.proxy import Proxy


class Desk:
    """The object that is called here; it records the calls."""

    def __init__(self) -> None:
        self.ran: list[object] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def note(self, what: object) -> object:
        self.ran.append(what)
        self.may_go_on.wait(20)
        return what


@contextmanager
def _serving(bus: notify.Bus) -> Iterator[Desk]:
    desk = Desk()
    with bus.service("desk", exports=desk, ttl_s=3600):
        yield desk


def _lose(bus: notify.Bus, proxy: Proxy, script: str) -> None:
    """Lose the answer to the next run of a script."""
    proxy.lose_answers(1, command=RequestScripts(bus.redis).digest(script).encode())


def test_N13_a_request_whose_sending_was_not_confirmed_runs_once(bus, proxy):
    """Its caller gets an error of the server, which says that the method may run."""
    with _serving(bus) as desk, notify.connect(proxy.url) as caller:
        assert caller.call("desk", "note", 1) == 1
        _lose(bus, proxy, "send")
        with pytest.raises(ServerUnreachableError, match="while sending a request to 'desk'"):
            caller.call("desk", "note", 2)
        wait_until(lambda: desk.ran == [1, 2])
        assert caller.call("desk", "note", 3) == 3
        assert desk.ran == [1, 2, 3]


def test_N13_an_answer_whose_sending_was_not_confirmed_is_sent_again(bus, proxy):
    """The caller takes it once."""
    with notify.connect(proxy.url) as server, _serving(server) as desk:
        assert bus.call("desk", "note", 1) == 1
        _lose(bus, proxy, "answer")
        assert bus.call("desk", "note", 2) == 2
        assert bus.call("desk", "note", 3) == 3
        assert (desk.ran, proxy.lost) == ([1, 2, 3], 1)
        (answers,) = bus.redis.keys("*:answers:*")
        assert bus.redis.xlen(answers) == 4


def test_N13_a_request_whose_taking_was_not_confirmed_does_not_run(bus, proxy):
    """Its caller gets a timeout, which says that the method may have finished."""
    with notify.connect(proxy.url) as server, _serving(server) as desk:
        assert bus.call("desk", "note", 1) == 1
        _lose(bus, proxy, "take")
        with pytest.raises(RequestTimeoutError, match="the method had begun"):
            bus.call("desk", "note", 2, timeout_s=0.5)
        assert bus.call("desk", "note", 3) == 3
        assert (desk.ran, proxy.lost) == ([1, 3], 1)


@pytest.mark.any_server
def test_a_service_can_be_called_on_a_bus_without_a_server():
    with fake_bus() as bus, _serving(bus) as desk:
        assert bus.call("desk", "note", 1) == 1
        assert desk.ran == [1]


@pytest.mark.any_server
@pytest.mark.parametrize("times", [1, 2])
def test_N13_a_call_to_a_server_that_hangs_ends_near_its_timeout(own_server, connect_to, times):
    """The second time there is no connection: a connection to a server that hangs could take long."""
    serving, bus = connect_to(own_server), connect_to(own_server)
    with _serving(serving):
        assert bus.call("desk", "note", 1) == 1
        with _frozen(own_server):
            for _ in range(times):
                before = time.monotonic()
                with pytest.raises(ServerUnreachableError, match="while sending a request to 'desk'"):
                    bus.call("desk", "note", 2, timeout_s=0.6)
                assert time.monotonic() - before < 2
        assert bus.call("desk", "note", 3, timeout_s=10) == 3


@pytest.mark.any_server
def test_N13_a_call_whose_server_hangs_later_ends_near_its_timeout(own_server, connect_to):
    """The server hangs after the request was sent."""
    serving, bus = connect_to(own_server), connect_to(own_server)
    with _serving(serving) as desk, ThreadPoolExecutor() as pool:
        assert bus.call("desk", "note", 1) == 1
        desk.may_go_on.clear()
        before = time.monotonic()
        call = pool.submit(bus.call, "desk", "note", 2, timeout_s=0.6)
        wait_until(lambda: desk.ran == [1, 2])
        with _frozen(own_server):
            with pytest.raises(RequestTimeoutError, match="whether the method had begun is unknown"):
                call.result(10)
            assert time.monotonic() - before < 2
        desk.may_go_on.set()
        assert bus.call("desk", "note", 3, timeout_s=10) == 3


@contextmanager
def _frozen(server: PrivateServer) -> Iterator[None]:
    server.freeze()
    try:
        yield
    finally:
        server.thaw()
