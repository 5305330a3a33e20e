"""Processes with a flow, for tests that kill them: ``flows.<role>`` of `tests.support.processes.Process`."""

import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import count

import notify
from notify.flows import (
    FlowProgram,
    TCPClient,
    TCPServer,
    batch,
    contents,
    demux,
    format_output,
    graph,
    lookup,
    pipeline,
    publish_to,
    stage,
    stdin_lines,
    subscribe_to,
)
from tests.support.processes import say, wait_for_go


def copier(url: str, path: str, position: str) -> None:
    """Append the contents of the events on ``t`` to a file, one a line; begin at a position, or at new events if it is ``-``."""
    with notify.connect(url) as bus, open(path, "ab", buffering=0) as file:
        source = subscribe_to(bus, "t", position=None if position == "-" else position)
        with pipeline(source, contents, lambda number: file.write(f"{number}\n".encode())):
            say("ready")
            wait_for_go()


def relay(url: str) -> None:
    """Publish the contents of the events on ``t`` on ``u``, after a look-up and in batches."""
    with notify.connect(url) as bus:
        source = subscribe_to(bus, "t", position="relay")
        with pipeline(source, contents, lookup(lambda number: number), batch(7, 0.01), list, publish_to(bus, "u")):
            say("ready")
            wait_for_go()


def runner(kind: str) -> None:
    """Run a flow in the main thread until a signal; then tell how many items the source gave, and how many the sink took."""
    taken: list[int] = []

    def sink(number: int) -> None:
        taken.append(number)
        if number == 1_000:
            say("ready")

    flow = pipeline(count(), lambda number: number, sink)
    if kind == "stop":
        signal.signal(signal.SIGTERM, lambda *_: flow.stop())
    with suppress(KeyboardInterrupt):
        flow.run()
    say([flow.counters()["count"].out, len(taken), taken == list(range(len(taken)))])


def hosted(url: str, needs: str) -> None:
    """Run a flow as the service ``hosted``, which needs services, until a signal: it tells each event on ``t`` that its sink takes."""
    with notify.connect(url) as bus:
        flow = pipeline(subscribe_to(bus, "t"), contents, lambda number: say(["taken", number]))
        program = FlowProgram(bus, flow, name="hosted", provides={"taking"}, needs=needs.split(",") if needs else (), ttl_s=2.0)
        with suppress(KeyboardInterrupt):
            notify.Dispatcher(program).run()
        say(["ended", flow.counters()["contents"].out])


def stuck(url: str, drain_s: str) -> None:
    """Run a flow as the service ``stuck``: each item takes until a line comes on stdin."""

    def sink(number: int) -> None:
        say(["begun", number])
        wait_for_go()
        say(["taken", number])

    with notify.connect(url) as bus:
        flow = pipeline(range(3), sink, name="stuck")
        notify.Dispatcher(FlowProgram(bus, flow), drain_s=float(drain_s)).run()
        say(["dropped", flow.counters()["sink"].dropped])


def stdin() -> None:
    """Print what comes from standard input."""
    with pipeline(stdin_lines(), say) as flow:
        say("ready")
        flow.wait()


def machine_a(port: str) -> None:
    """Send what comes from standard input to machine B; when it has all, tell it."""
    with pipeline(stdin_lines(), TCPClient("127.0.0.1", int(port))) as flow:
        say("ready")
        flow.wait()


def sender(url: str, port: str) -> None:
    """Send the events on ``t`` to a server, from where the last one of its kind has ended."""
    with notify.connect(url) as bus, pipeline(subscribe_to(bus, "t", position="sender"), TCPClient("127.0.0.1", int(port))):
        say("ready")
        wait_for_go()


def machine_b(url: str) -> None:
    """Take lines, look them up, sort them, and send each class to a port of its own; tell the ports, and what has no class."""
    names = {"1": "cellar", "2": "attic"}
    incoming, outgoing = TCPServer(0), {name: TCPServer(0) for name in ("normal", "important", "critical")}

    def looked_up(line: str) -> tuple[str, str]:
        kind, number = line.split()
        return kind, names[number]

    flow = graph(
        nodes={
            "in": incoming,
            "look-up": stage(lookup(looked_up, threads=2)),
            "split": demux(lambda event: event[0], outlets=tuple(outgoing)),
            "rest": lambda failed: say(["rest", failed.item]),
            **{f"line-{name}": format_output("{0} in the {1}") for name in outgoing},
            **outgoing,
        },
        links={
            "in": "look-up",
            "look-up": "split",
            ("look-up", "error"): "rest",
            ("split", "error"): "rest",
            **{("split", name): f"line-{name}" for name in outgoing},
            **{f"line-{name}": name for name in outgoing},
        },
    )
    with notify.connect(url) as bus, flow:
        say([incoming.port, {name: server.port for name, server in outgoing.items()}])
        while wait_for_go():
            say(sum(server.counts().clients for server in outgoing.values()))
        bus.publish("ended", True)


ROLES: dict[str, Callable[..., None]] = {
    "copier": copier,
    "relay": relay,
    "stdin": stdin,
    "runner": runner,
    "hosted": hosted,
    "stuck": stuck,
    "machine_a": machine_a,
    "sender": sender,
    "machine_b": machine_b,
}

if __name__ == "__main__":
    ROLES[sys.argv[1]](*sys.argv[2:])
