"""A flow as a service: registered, found by capability, delivered in a shutdown, killed as any other."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import notify
from notify import Dispatcher, InvalidServiceError
from notify.flows import FlowProgram, Sink, Source, pipeline
from notify.testing import PrivateServer, wait_until
from tests.support.processes import Process

Start = Callable[..., Process]


class Port(Sink):
    """A sink that others can connect to; as with port 0, it gets its port when the flow starts."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.port, self._host, self._wanted = 0, host, port
        self.got: list[Any] = []

    @property
    def address(self) -> str:
        return f"{self._host}:{self.port}"

    def open(self, context: object) -> None:
        self.port = self._wanted

    def take(self, item: Any) -> None:
        self.got.append(item)


class Waiting(Source):
    """A source that gives one item and then waits for the stop."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def __iter__(self) -> Iterator[Any]:
        yield 1
        self._stopped.wait(10)

    def stop(self) -> None:
        self._stopped.set()


def test_a_flow_is_found_by_the_port_that_it_listens_at(bus: notify.Bus) -> None:
    port = Port(1600)
    with FlowProgram(bus, pipeline(Waiting(), port), name="out", provides={"alarms"}) as program:
        found = bus.directory.find(provides="tcp:1600")
        assert (found.name, found.address) == ("out", "127.0.0.1:1600")
        assert bus.directory.find(provides="alarms").name == "out"
        assert port.got == [], "its sources are held until it runs"
        program.pending()
        program.run()
    assert "out" not in bus.directory


def test_all_interfaces_have_the_name_of_the_host_as_address(bus: notify.Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "lab-7")
    with FlowProgram(bus, pipeline(Waiting(), Port(1601, "*")), name="out"):
        assert bus.directory.lookup("out").address == "lab-7:1601"
    with FlowProgram(bus, pipeline(Waiting(), Port(1601, "*")), name="out", address="gate:1"):
        assert bus.directory.lookup("out").address == "gate:1"


def test_a_flow_that_ends_by_itself_ends_the_program(bus: notify.Bus) -> None:
    got: list[int] = []
    Dispatcher(FlowProgram(bus, pipeline(range(5), got.append, name="five"))).run()
    assert got == [0, 1, 2, 3, 4]
    assert "five" not in bus.directory


def test_an_error_of_the_flow_is_raised_and_the_service_is_withdrawn(bus: notify.Bus) -> None:
    with pytest.raises(ZeroDivisionError):
        Dispatcher(FlowProgram(bus, pipeline([1, 0], lambda number: 1 / number, print, name="bad"))).run()
    assert "bad" not in bus.directory


def test_a_flow_that_cannot_start_is_not_registered(bus: notify.Bus) -> None:
    class Taken(Sink):
        def open(self, context: object) -> None:
            raise OSError("the port is in use")

    with bus.directory.watch() as changes:
        with pytest.raises(OSError, match="the port is in use"):
            Dispatcher(FlowProgram(bus, pipeline(Waiting(), Taken(), name="out"))).run()
        assert changes.get(0) is None


def test_a_service_that_cannot_be_registered_leaves_no_flow_behind(bus: notify.Bus) -> None:
    class Only(FlowProgram):
        standby = "refuse"

    flow = pipeline(Waiting(), Port(1600))
    with bus.service("out"), pytest.raises(notify.ServiceNameTakenError):
        Dispatcher(Only(bus, flow, name="out")).run()
    assert flow.wait(0)


@pytest.mark.parametrize("needs", [[1], 5, [None]])
def test_needs_that_are_none_are_refused(bus: notify.Bus, needs: Any) -> None:
    with pytest.raises(InvalidServiceError, match="needs of a flow"):
        FlowProgram(bus, pipeline([1], print), name="x", needs=needs)


@pytest.mark.any_server
def test_a_signal_suspends_the_shutdown_until_the_flow_is_delivered(server: PrivateServer, bus: notify.Bus, start: Start) -> None:
    process = start("flows.stuck", server.url, 20)
    assert process.told() == ["begun", 0]
    os.kill(process.pid, signal.SIGTERM)
    wait_until(lambda: "stuck" in bus.directory, what="the service")
    for number in range(3):
        assert "stuck" in bus.directory, "it has items in hand"
        process.go()
        assert process.told() == ["taken", number]
        assert process.told() == (["begun", number + 1] if number < 2 else ["dropped", 0])
    assert process.end() == 0
    assert "stuck" not in bus.directory


@pytest.mark.any_server
def test_a_flow_that_is_not_delivered_in_time_is_cut(server: PrivateServer, bus: notify.Bus, start: Start) -> None:
    process = start("flows.stuck", server.url, 0.3)
    assert process.told() == ["begun", 0]
    os.kill(process.pid, signal.SIGTERM)
    assert process.told(timeout_s=7) == ["dropped", 2]  # long before the ten seconds of `close`; the first one is in the hands of the sink
    assert "stuck" not in bus.directory
    process.dispose()


@pytest.mark.any_server
def test_a_flow_that_is_killed_in_the_directory_ends(server: PrivateServer, bus: notify.Bus, start: Start) -> None:
    process = start("flows.hosted", server.url, "")
    wait_until(lambda: "hosted" in bus.directory, what="the service")
    bus.directory.kill("hosted", why="enough")
    assert process.rest()[-1] == ["ended", 0]
    assert process.end() == 0


@pytest.mark.any_server
def test_a_flow_whose_process_is_killed_is_withdrawn(server: PrivateServer, bus: notify.Bus, start: Start) -> None:
    process = start("flows.hosted", server.url, "")
    wait_until(lambda: "hosted" in bus.directory, what="the service")
    with bus.directory.watch("hosted") as changes:
        process.kill()
        seen = [changes.get(5) for _ in range(3)]
    ends = [change for change in seen if isinstance(change, notify.Withdrawn)]
    assert [end.reason for end in ends] == ["expired"]
    assert bus.directory.find(provides="taking", default=None) is None
