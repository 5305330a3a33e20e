"""The client: it waits for its server, comes back to it, keeps what is to be sent, and says what it cannot know."""

import logging
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from notify import EndpointError
from notify.flows import pipeline
from notify.flows.fanout import QueueLimits
from notify.flows.tcp import TCPClient, TCPServer
from notify.testing import wait_until
from tests.notify.flows.tcp.test_out import Feed, connected
from tests.support.peers import Peer

pytestmark = pytest.mark.any_server


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A socket that accepts connections when the test does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server


def port_of(server: socket.socket) -> int:
    return int(server.getsockname()[1])


def accept(server: socket.socket) -> Peer:
    return Peer(server.accept()[0])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return port_of(server)


def test_K5_a_client_sends_the_lines_of_machine_a_to_machine_b() -> None:
    got: list[str] = []
    server = TCPServer(0)
    with pipeline(server, got.append):
        pipeline((f"line {number}" for number in range(2_000)), TCPClient("localhost", server.port)).run()
        wait_until(lambda: len(got) == 2_000, what="the lines")
    assert got == [f"line {number}" for number in range(2_000)]


def test_K6_a_client_is_a_source_of_what_a_server_sends() -> None:
    got: list[Any] = []
    feed, server = Feed(), TCPServer(0, framing="json")
    with pipeline(feed, server), pipeline(TCPClient("127.0.0.1", server.port, framing="json"), got.append):
        connected(server, 1)
        feed.put({"n": 1}, {"n": 2})
        wait_until(lambda: got == [{"n": 1}, {"n": 2}], what="the items")


def test_a_client_may_be_source_and_sink(listening: socket.socket) -> None:
    client = TCPClient("127.0.0.1", port_of(listening))
    with pipeline(client, str.upper, client):
        other = accept(listening)
        other.send("one\n")
        assert other.line() == "ONE"
        other.close()


def test_a_client_waits_for_a_server_that_is_not_there_yet(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    got: list[str] = []
    feed = Feed()
    with pipeline(feed, TCPClient("127.0.0.1", port)):
        feed.put("one")
        wait_until(lambda: "nothing listens there: start the server, or check the port" in caplog.text, what="the log")
        with pipeline(TCPServer(port), got.append):
            feed.put("two")
            wait_until(lambda: got == ["one", "two"], what="the lines")


def test_a_client_comes_back_and_its_queue_is_kept(listening: socket.socket) -> None:
    feed, client = Feed(), TCPClient("127.0.0.1", port_of(listening))
    with pipeline(feed, client):
        first = accept(listening)
        feed.put("one")
        assert first.line() == "one"
        first.close()
        wait_until(lambda: client.counts().clients == 0, what="the end of the connection")
        feed.put("two", "three")
        second = accept(listening)
        assert second.lines(2) == ["two", "three"]
        second.close()


def test_a_source_comes_back_too_and_half_a_line_is_told(listening: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    got: list[str] = []
    with pipeline(TCPClient("127.0.0.1", port_of(listening)), got.append):
        first = accept(listening)
        first.send("one\nha")
        wait_until(lambda: got == ["one"], what="the line")
        first.reset()
        second = accept(listening)
        second.send("two\n")
        wait_until(lambda: got == ["one", "two"], what="the line of the second connection")
        second.close()
    assert "the stream ended within a frame, after 2 bytes" in caplog.text
    assert "was lost: [Errno 104] Connection reset by peer; what was sent last may not have arrived" in caplog.text


def test_a_sink_holds_the_flow_back_while_there_is_no_connection() -> None:
    taken: list[int] = []
    port = free_port()
    client = TCPClient("127.0.0.1", port, queue=QueueLimits("wait", max_items=10))

    def source() -> Iterator[str]:
        for number in range(100_000):
            taken.append(number)
            yield str(number)

    flow = pipeline(source, client).start()
    wait_until(lambda: len(taken) > 1_000, what="the filling of the queues")
    got: list[str] = []
    assert not flow.wait(0.2)
    assert len(taken) < 5_000
    with pipeline(TCPServer(port), got.append):
        assert flow.wait(20)
        flow.close()
        wait_until(lambda: len(got) == 100_000, what="the lines")
    assert got == [str(number) for number in range(100_000)]


def test_what_could_not_be_sent_before_the_end_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    feed, client = Feed(), TCPClient("127.0.0.1", free_port())
    flow = pipeline(feed, client).start()
    feed.put("one", "two")
    wait_until(lambda: client.counts().sent == 2, what="the items in the queue")
    assert flow.close(timeout_s=0.3) is False
    assert client.counts().dropped == 2
    assert flow.counters()["TCPClient"].dropped == 2
    assert "2 frames could not be sent before the end" in caplog.text


def test_without_reconnect_a_source_ends_with_its_connection(listening: socket.socket) -> None:
    got: list[str] = []
    with pipeline(TCPClient("127.0.0.1", port_of(listening), reconnect=False), got.append) as flow:
        other = accept(listening)
        other.send("one\n")
        other.close()
        assert flow.wait(5)
    assert got == ["one"]


def test_without_reconnect_a_sink_fails_with_its_connection(listening: socket.socket) -> None:
    feed = Feed()
    flow = pipeline(feed, TCPClient("127.0.0.1", port_of(listening), reconnect=False)).start()
    accept(listening).close()
    stop = threading.Event()

    def put_all() -> None:
        while not stop.wait(0.01):
            feed.put("one")

    putting = threading.Thread(target=put_all)
    putting.start()
    assert flow.wait(5)
    stop.set()
    putting.join()
    with pytest.raises(EndpointError, match="has closed the connection; what was sent last may not have arrived"):
        flow.close()


@pytest.mark.parametrize("reconnect", [True, False])
def test_an_unknown_host_is_an_error_at_the_start(reconnect: bool) -> None:
    with pytest.raises(EndpointError, match=r"the host 'no.such.host.invalid' is unknown .*: check its name, and the name server"):
        pipeline(["one"], TCPClient("no.such.host.invalid", 1600, reconnect=reconnect)).start()


@pytest.mark.parametrize(("arguments", "remedy"), [({"port": 0}, "nothing listens there"), ({"unix": "/nowhere/x.sock"}, "no such file")])
def test_without_reconnect_a_server_that_is_not_there_is_an_error(arguments: dict[str, Any], remedy: str) -> None:
    if "port" in arguments:
        arguments = {"host": "127.0.0.1", "port": free_port()}
    with pytest.raises(EndpointError, match=remedy):
        pipeline(["one"], TCPClient(**arguments, reconnect=False)).start()


def test_a_client_that_must_not_wait_comes_back_all_the_same(listening: socket.socket) -> None:
    got: list[str] = []
    with pytest.raises(EndpointError, match="nothing listens there: start the server, or check the port"):
        pipeline(TCPClient("127.0.0.1", free_port(), waits=False), got.append).start()
    with pipeline(TCPClient("127.0.0.1", port_of(listening), waits=False), got.append):
        accept(listening).close()
        server = accept(listening)
        server.send("after the loss\n")
        wait_until(lambda: got == ["after the loss"], what="the line")
        server.close()


def test_a_server_that_closes_each_connection_is_not_flooded(listening: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    client = TCPClient("127.0.0.1", port_of(listening))
    with pipeline(client, print):
        for _ in range(4):
            accept(listening).close()
        # The pauses grow, since no connection has lasted: they are those of an outage.
        assert "has reached the server again" not in caplog.text


def test_a_client_and_a_server_meet_at_a_unix_socket(tmp_path: Any) -> None:
    path = str(tmp_path / "lab.sock")
    got: list[str] = []
    with pipeline(TCPServer(unix=path), got.append):
        pipeline(["one"], TCPClient(unix=path)).run()
        wait_until(lambda: got == ["one"], what="the line")
