"""What a flow needs: its sources give nothing while a service is gone, and go on when it is there again."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

import notify
from notify import provides
from notify.flows import FlowProgram, pipeline, subscribe_to
from notify.flows.hosting import NeedsGate
from notify.testing import PrivateServer, wait_until
from tests.support.processes import Process

Start = Callable[..., Process]


def until_reported(status: notify.Subscriber, text: str) -> None:
    wait_until(lambda: (event := status.get(5)) is not None and text in str(event.contents), what=text)


@pytest.mark.any_server
def test_a_flow_is_held_while_what_it_needs_is_dead_and_loses_nothing(server: PrivateServer, bus: notify.Bus, start: Start) -> None:
    with bus.subscribe("hosted_status") as status:
        storage = start("service", server.url, "storage", 1.0)
        storage.told()
        flow = start("flows.hosted", server.url, "storage")
        until_reported(status, "running: storage")
        bus.publish("t", 1)
        assert flow.told() == ["taken", 1]
        storage.kill()
        until_reported(status, "held: storage is not there")
        for number in range(2, 50):
            bus.publish("t", number)
        bus.publish("hosted_status", "published")
        until_reported(status, "published")
        another = start("service", server.url, "storage", 1.0)
        another.told()
        until_reported(status, "running: storage")
        # The source had one event in hand at most when it was held.
        assert [flow.told() for _ in range(2, 50)] == [["taken", number] for number in range(2, 50)]
        os.kill(flow.pid, signal.SIGTERM)
        assert flow.rest() == [["ended", 49]]
        assert another.end() == 0


@pytest.mark.any_server
@pytest.mark.parametrize(("needs", "taken"), [("storage", 0), ("", 20)])
def test_nothing_is_taken_before_what_is_needed_is_there(bus: notify.Bus, needs: str, taken: int) -> None:
    """Without needs, the twin, everything is taken at once."""
    got: list[Any] = []
    flow = pipeline(subscribe_to(bus, "t"), got.append, name="taker")
    program = FlowProgram(bus, flow, needs=[needs] if needs else ())
    with bus.subscribe("taker_status") as status, Running(program):
        for number in range(20):
            bus.publish("t", number)
        if needs:
            until_reported(status, "held: storage")
        else:
            wait_until(lambda: len(got) == 20, what="the events")
        assert len(got) == taken
        with bus.service("storage"):
            wait_until(lambda: len(got) == 20, what="the events")


class Running:
    """Runs a program in a thread, as the dispatcher does."""

    def __init__(self, program: FlowProgram) -> None:
        self._program = program
        self._dispatcher = notify.Dispatcher(program)

    def __enter__(self) -> None:
        self._thread = threading.Thread(target=self._dispatcher.run)
        self._thread.start()
        wait_until(lambda: self._program.service.incarnation > 0, what="the registration")

    def __exit__(self, *_: object) -> None:
        self._dispatcher.shutdown()
        self._thread.join(10)


def gate(bus: notify.Bus, told: list[Any], *needs: Any) -> NeedsGate:
    return NeedsGate(bus.directory, needs, hold=told.append, release=lambda: told.append("go"), name="test")


def test_a_capability_can_be_needed_and_any_provider_will_do(bus: notify.Bus) -> None:
    told: list[Any] = []
    with bus.service("a", provides={"work"}) as first, gate(bus, told, provides("work")):
        wait_until(lambda: told == ["go"], what="the release")
        with bus.service("b", provides={"work"}):
            first.close()
            wait_until(lambda: "a" not in bus.directory, what="the end of the first")
        wait_until(lambda: len(told) == 2, what="the hold")
    assert told == ["go", [str(provides("work"))]]


def test_the_gate_says_which_of_several_needs_are_missing(bus: notify.Bus) -> None:
    told: list[Any] = []
    with gate(bus, told, "a", "b"):
        wait_until(lambda: told == [["a", "b"]], what="the hold")
        with bus.service("a"):
            wait_until(lambda: told[-1] == ["b"], what="the other one")
            with bus.service("b"):
                wait_until(lambda: told[-1] == "go", what="the release")


def test_an_outage_of_the_server_changes_nothing_and_is_survived(own_server: PrivateServer) -> None:
    told: list[Any] = []
    with notify.connect(own_server.url) as bus, bus.service("a") as service, gate(bus, told, "a"):
        wait_until(lambda: told == ["go"], what="the release")
        own_server.kill()
        own_server.restart()
        wait_until(lambda: "a" in bus.directory, timeout_s=15, what="the service")
        service.kill()
        wait_until(lambda: told[-1] == ["a"], timeout_s=15, what="the hold")


def test_without_needs_the_gate_opens_at_once(bus: notify.Bus) -> None:
    told: list[Any] = []
    with gate(bus, told):
        assert told == ["go"]
