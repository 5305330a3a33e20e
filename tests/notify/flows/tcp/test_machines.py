"""Flows on the network as processes and services: the outline of the seed, and what becomes of it when a process is killed."""

from collections.abc import Callable
from contextlib import ExitStack

import notify
from notify.flows import FlowProgram, TCPClient, TCPServer, pipeline
from notify.testing import wait_until
from tests.support.peers import peer
from tests.support.processes import Process

Start = Callable[..., Process]


def clients(machine_b: Process) -> int:
    machine_b.go()
    return int(machine_b.told())


def test_K5_K6_K8_K9_machine_a_machine_b_and_three_ports(start: Start, bus: notify.Bus) -> None:
    machine_b = start("flows.machine_b", bus.settings.url)
    port, ports = machine_b.told()
    machine_a = start("flows.machine_a", port)
    assert machine_a.told() == "ready"
    with ExitStack() as stack:
        normal, important, critical = (stack.enter_context(peer(ports[name])) for name in ("normal", "important", "critical"))
        wait_until(lambda: clients(machine_b) == 3, what="the clients")
        machine_a.write("normal 1\ncritical 2\nnormal 2\nnormal 3\nstrange 1\nimportant 1\nlast 1")
        assert normal.lines(2) == ["normal in the cellar", "normal in the attic"]
        assert critical.line() == "critical in the attic"
        assert important.line() == "important in the cellar"
        assert machine_b.told() == ["rest", "normal 3"]  # the look-up failed
        assert machine_b.told() == ["rest", ["strange", "cellar"]]
        assert machine_a.end() == 0
        assert machine_b.told() == ["rest", ["last", "cellar"]]
        assert machine_b.end() == 0
        assert normal.rest() == ""


def test_a_killed_machine_b_is_waited_for_and_disturbs_only_its_clients(start: Start, bus: notify.Bus) -> None:
    machine_b = start("flows.machine_b", bus.settings.url)
    port, _ = machine_b.told()
    machine_a = start("flows.machine_a", port)
    assert machine_a.told() == "ready"
    machine_a.write("first 1\n")
    assert machine_b.told() == ["rest", ["first", "cellar"]]
    machine_b.kill()
    got: list[str] = []
    server = TCPServer(port)
    with pipeline(server, got.append):
        wait_until(lambda: server.counts().clients == 1, what="machine A")
        machine_a.write("second 1\n")
        wait_until(lambda: got == ["second 1"], what="the line")
        assert machine_a.end() == 0


def test_a_sender_with_a_position_that_is_killed_in_mid_stream_loses_nothing(start: Start, bus: notify.Bus) -> None:
    got: list[int] = []
    server = TCPServer(0)
    with pipeline(server, lambda line: got.append(int(line))):
        sent, total = 0, 3_000
        while sent < total:
            sender = start("flows.sender", bus.settings.url, server.port)
            assert sender.told() == "ready"
            with bus.background_publisher() as publisher:
                for number in range(sent, sent + 1_000):
                    publisher.put("t", number)
            sent += 1_000
            wait_until(lambda sent=sent: got and max(got) > sent - 900, what="some of them")
            sender.kill()
        last = start("flows.sender", bus.settings.url, server.port)
        wait_until(lambda: len(set(got)) == total, timeout_s=10, what="all of them")
        last.kill()
    first = [number for position, number in enumerate(got) if number not in got[:position]]
    assert first == list(range(total))


def test_a_flow_that_listens_is_found_by_its_port(bus: notify.Bus, another_bus: notify.Bus) -> None:
    server = TCPServer(0)
    got: list[str] = []
    dispatcher = notify.Dispatcher(FlowProgram(bus, pipeline(server, got.append, name="gate")))

    def send_and_stop() -> None:
        found = another_bus.directory.find(provides=f"tcp:{server.port}")
        assert found is not None
        host, _, port = str(found.address).rpartition(":")
        pipeline(["one"], TCPClient(host, int(port))).run()
        wait_until(lambda: got == ["one"], what="the line")
        dispatcher.shutdown()

    dispatcher.timers.after(0.2, send_and_stop)
    dispatcher.run()
    assert got == ["one"]
