"""TCP out: every client gets every item while it is connected, and one that does not read delays nobody."""

import queue
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import notify
from notify import Gap
from notify.flows import Failed, contents, demux, graph, pipeline, subscribe_to
from notify.flows.fanout import QueueLimits
from notify.flows.tcp import TCPServer
from notify.testing import wait_until
from tests.support.peers import Peer, peer

pytestmark = pytest.mark.any_server


class Feed:
    """A source that gives what a test puts into it."""

    def __init__(self) -> None:
        self.items: queue.Queue[Any] = queue.Queue()

    def put(self, *items: Any) -> None:
        for item in items:
            self.items.put(item)

    def __iter__(self) -> Iterator[Any]:
        while True:
            try:
                yield self.items.get(timeout=0.02)
            except queue.Empty:
                yield None


def connected(server: TCPServer, clients: int) -> None:
    wait_until(lambda: server.counts().clients == clients, what=f"{clients} clients")


def test_K6_every_client_gets_every_item_while_it_is_connected() -> None:
    feed, server = Feed(), TCPServer(0)
    with pipeline(feed, server), peer(server.port) as one:
        connected(server, 1)
        feed.put("first")
        assert one.line() == "first"
        with peer(server.port) as two:
            connected(server, 2)
            feed.put("second")
            assert (one.line(), two.line()) == ("second", "second")
        connected(server, 1)
        feed.put("third")
        assert one.line() == "third"


def test_K6_a_client_that_does_not_read_delays_nobody() -> None:
    count = 40_000
    feed, server = Feed(), TCPServer(0, queue=QueueLimits(max_items=1_000))
    got: list[str] = []
    with pipeline(feed, server), peer(server.port, small_buffer=True), peer(server.port) as reads:
        connected(server, 2)
        reading = threading.Thread(target=lambda: [got.append(reads.line()) for _ in range(count)])
        reading.start()
        for number in range(count):
            feed.put(f"{number:0400}")
            if number % 250 == 0:  # no faster than the other client reads
                wait_until(lambda number=number: len(got) >= number - 500, what="the client that reads")
        reading.join()
        assert server.counts().dropped > 1_000
    assert [int(line) for line in got] == list(range(count))


def test_K6_a_gap_line_stands_where_lines_were_dropped() -> None:
    count = 20_000
    feed, server = Feed(), TCPServer(0, queue=QueueLimits(max_items=10))
    with pipeline(feed, server), peer(server.port, small_buffer=True) as slow:
        connected(server, 1)
        feed.put(*(f"{number:0200}" for number in range(count)))
        wait_until(lambda: server.counts().sent == count, what="the frames")
        wait_until(lambda: server.counts().dropped > 0, what="the drops")
        feed.put("last")
        expected = gaps = 0
        while (line := slow.line()) != "last":
            if line.startswith("# gap: "):
                assert line.endswith("frames were dropped, since this client reads too slowly")
                expected += int(line.split()[2])
                gaps += 1
            else:
                assert int(line) == expected
                expected += 1
    assert expected == count
    assert gaps > 0


def test_a_slow_client_may_be_disconnected() -> None:
    feed, server = Feed(), TCPServer(0, queue=QueueLimits("disconnect", max_items=100))
    with pipeline(feed, server), peer(server.port, small_buffer=True), peer(server.port) as reads:
        connected(server, 2)
        lines = threading.Thread(target=lambda: reads.lines(3_000))
        lines.start()
        for _ in range(60):
            before = server.counts().sent
            feed.put(*(["x" * 30_000] * 50))
            wait_until(lambda before=before: server.counts().sent >= before + 50, what="the frames")
            if server.counts().closed:
                break
        wait_until(lambda: server.counts().closed >= 1, what="the end of the slow client")
        feed.put(*(["y"] * 3_000))
        lines.join()


def test_a_flow_may_wait_for_its_clients_instead() -> None:
    count = 20_000
    server = TCPServer(0, queue=QueueLimits("wait", max_items=10))
    start = threading.Event()

    def source() -> Iterator[str]:
        start.wait(10)
        yield from (f"{number:01000}" for number in range(count))

    with pipeline(source, server) as flow, peer(server.port, small_buffer=True) as slow:
        connected(server, 1)
        start.set()
        assert not flow.wait(0.2)
        assert [int(line) for line in slow.lines(count)] == list(range(count))
    assert server.counts().dropped == 0


def test_what_waits_for_a_client_is_delivered_at_the_end() -> None:
    items = [f"{number:01000}" for number in range(3_000)]
    start = threading.Event()
    server = TCPServer(0)

    def source() -> Iterator[str]:
        start.wait(10)
        yield from items

    flow = pipeline(source, server).start()
    with peer(server.port, small_buffer=True) as client:
        connected(server, 1)
        start.set()
        got: list[str] = []
        reading = threading.Thread(target=lambda: got.extend(client.rest().splitlines()))
        reading.start()
        assert flow.wait(10)
        flow.close()
        reading.join()
    assert got == items


def test_a_client_that_does_not_read_does_not_hold_up_the_end() -> None:
    server = TCPServer(0)
    feed = Feed()
    with pipeline(feed, server), peer(server.port, small_buffer=True):
        connected(server, 1)
        feed.put(*(["x" * 1_000] * 8_000))
        wait_until(lambda: server.counts().sent == 8_000, what="the frames")
    assert server.counts().dropped > 1_000


def test_one_server_may_be_source_and_sink() -> None:
    server = TCPServer(0)
    with pipeline(server, str.upper, server), peer(server.port) as one, peer(server.port) as two:
        connected(server, 2)
        one.send("hello\n")
        assert (one.line(), two.line()) == ("HELLO", "HELLO")
        two.send("bye\n")
        assert (one.line(), two.line()) == ("BYE", "BYE")


def test_a_client_that_has_said_all_still_gets_the_answers() -> None:
    server = TCPServer(0)

    def slow(line: str) -> str:
        time.sleep(0.05)  # so that the client has said all before the first answer
        return line.upper()

    with pipeline(server, slow, server):
        with peer(server.port) as client:
            client.send("one\ntwo\n")
            client.socket.shutdown(socket.SHUT_WR)
            assert client.rest() == "ONE\nTWO\n"
        connected(server, 0)


def test_a_server_that_is_both_answers_what_it_has_read_before_a_stop() -> None:
    server = TCPServer(0)
    blocks = threading.Event()

    def slow(line: str) -> str:
        blocks.wait(10)
        return line.upper()

    flow = pipeline(server, slow, server).start()
    with peer(server.port) as client:
        client.send("one\ntwo\n")
        wait_until(lambda: server.counts().received == 2, what="the lines")
        flow.stop()
        blocks.set()
        assert flow.close()
        assert client.rest() == "ONE\nTWO\n"


def test_an_item_that_cannot_be_a_line_goes_the_way_of_errors() -> None:
    failed: list[Failed] = []
    feed, server = Feed(), TCPServer(0)
    with pipeline(feed, server, errors=failed.append), peer(server.port) as client:
        connected(server, 1)
        feed.put("one", "two\nlines", "x" * 40_000, object(), {"celsius": 20.5})
        assert client.lines(2) == ["one", '{"celsius":20.5}']
        wait_until(lambda: len(failed) == 3, what="the failures")
    assert "would be two lines" in str(failed[0].error)
    assert failed[0].stage == "TCPServer"


def test_clients_are_told_of_a_gap_in_a_topic() -> None:
    feed, server = Feed(), TCPServer(0, framing="json")
    with pipeline(feed, server), peer(server.port) as client:
        connected(server, 1)
        feed.put(1, Gap("t", "trimmed", "1-0", "5-0"), 2)
        assert client.lines(3) == ["1", '{"gap":"events of t are lost (trimmed), after 1-0 to 5-0"}', "2"]


@pytest.fixture
def _many_files() -> Iterator[None]:
    """Let this process open as many files as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("_many_files")
def test_a_thousand_clients_get_every_line() -> None:
    feed, server = Feed(), TCPServer(0)
    with pipeline(feed, server), ExitStack() as stack:
        clients: list[Peer] = [stack.enter_context(peer(server.port)) for _ in range(1_000)]
        wait_until(lambda: server.counts().clients == 1_000, timeout_s=30, what="all clients")
        feed.put("one", "two")
        assert {tuple(client.lines(2)) for client in clients} == {("one", "two")}


def test_K9_three_ports_for_three_classes_of_events(bus: notify.Bus) -> None:
    """The outline of the seed: machine A sends lines to port 1500, and each class of events goes to a port of its own."""
    machine_a, outs = TCPServer(0), {name: TCPServer(0) for name in ("normal", "important", "critical")}
    failed: list[Any] = []
    flow = graph(
        nodes={"in": machine_a, "split": demux(lambda line: line.split()[0], outlets=tuple(outs)), "failed": failed.append, **outs},
        links={"in": "split", ("split", "error"): "failed", **{("split", name): name for name in outs}},
    )
    with flow, peer(machine_a.port) as device, ExitStack() as stack:
        clients = {name: stack.enter_context(peer(server.port)) for name, server in outs.items()}
        for server in outs.values():
            connected(server, 1)
        device.send("critical 1\nnormal 2\nunknown 3\nimportant 4\nnormal 5\n")
        assert clients["normal"].lines(2) == ["normal 2", "normal 5"]
        assert clients["important"].line() == "important 4"
        assert clients["critical"].line() == "critical 1"
        wait_until(lambda: [each.item for each in failed] == ["unknown 3"], what="the unclassified line")


def test_K5_K6_lines_travel_from_one_port_by_a_topic_to_another(bus: notify.Bus, another_bus: notify.Bus) -> None:
    received, out = TCPServer(0), TCPServer(0)
    with (
        pipeline(subscribe_to(another_bus, "lines"), contents, out),
        pipeline(received, notify.flows.publish_to(bus, "lines")),
        peer(out.port) as client,
        peer(received.port) as device,
    ):
        connected(out, 1)
        device.send("".join(f"{number}\n" for number in range(5_000)))
        assert client.lines(5_000) == [str(number) for number in range(5_000)]
