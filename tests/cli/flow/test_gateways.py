"""``notify gateway``: lines that come in by TCP are events, and events go out to all that connect."""

import re
import select
import signal
import socket

import msgspec
import pytest

import notify
from notify.testing import wait_until
from tests.cli.conftest import Shell
from tests.support.commands import Command
from tests.support.hostile import EVIL
from tests.support.peers import Peer, peer

pytestmark = pytest.mark.any_server


def started(shell: Shell, *arguments: str) -> tuple[Command, int]:
    """Start a gateway at a free port. Returns the command and the port."""
    running = shell.start("gateway", *arguments)
    running.said(" -> ")
    found = re.search(r":(\d+)\b", next(line for line in running.err if " -> " in line).removeprefix("gateway"))
    assert found
    return running, int(found[1])


def until_served(bus: notify.Bus, topic: str, *clients: Peer) -> None:
    """Publish events until each client gets them: it may be connected and not accepted yet."""
    for client in clients:
        while not select.select([client.socket], [], [], 0.1)[0]:
            bus.publish(topic, "hello")


def heard(client: Peer, count: int) -> list[str]:
    """Return the next lines that are no hello."""
    lines = (line for line in iter(client.line, "") if line != "hello")
    return [next(lines) for _ in range(count)]


def test_K5_lines_that_come_in_are_events(shell: Shell, bus: notify.Bus) -> None:
    with bus.subscribe("t") as events:
        running, port = started(shell, "in", "--tcp", "0", "--topic", "t")
        found = bus.directory.find(provides=f"tcp:{port}")
        assert found.address == f"127.0.0.1:{port}"
        with peer(port) as machine:
            machine.send("ALARM cel")
            machine.send("lar\nall is well\n")
            got = [events.get(10) for _ in range(2)]
        assert [event.contents for event in got if isinstance(event, notify.Event)] == ["ALARM cellar", "all is well"]
        running.signal(signal.SIGTERM)
        assert running.end().code == 0
        assert found.name not in bus.directory


def test_a_gateway_at_any_free_port_does_not_stand_by_for_another_one(shell: Shell, bus: notify.Bus) -> None:
    ports = [started(shell, "in", "--tcp", "0", "--topic", "t")[1] for _ in range(2)]
    first, second = (bus.directory.find(provides=f"tcp:{port}").name for port in ports)
    assert not second.startswith(first)  # a service that stands by has the name of the other one and a suffix


def test_K5_a_gateway_for_one_client_refuses_the_second(shell: Shell, bus: notify.Bus) -> None:
    _, port = started(shell, "in", "--tcp", "0", "--topic", "t", "--single-client", "--framing", "json")
    with bus.subscribe("t") as events, peer(port) as first:
        first.send('{"celsius": 21}\n')
        event = events.get(10)
        assert isinstance(event, notify.Event)
        assert event.contents == {"celsius": 21}
        with peer(port) as second:
            assert "1 client is connected" in second.rest()


@pytest.mark.parametrize("way", ["in", "out"])
def test_a_gateway_ends_when_its_service_is_killed(shell: Shell, bus: notify.Bus, way: str) -> None:
    running, _ = started(shell, way, "--tcp", "0", "--topic", "t", "--name", "door")
    killing = shell.run("kill", "door", "--reason", "enough")
    assert killing.code == 0
    done = running.end()
    assert done.code == 5
    assert done.err.splitlines()[-1].startswith("notify: door killed: enough (by process ")
    assert "door" not in bus.directory


def test_K6_every_client_gets_every_event(shell: Shell, bus: notify.Bus) -> None:
    running, port = started(shell, "out", "--tcp", "0", "--topic", "lab.*")
    with peer(port) as one, peer(port) as two:
        until_served(bus, "lab.a", one, two)
        bus.publish("lab.a", "first")
        bus.publish("lab.b", {"n": 2})
        assert heard(one, 2) == heard(two, 2) == ["first", '{"n":2}']
    running.interrupt()
    assert running.end().code == 130


def test_whole_events_go_out_as_json_when_what_is_needed_is_there(shell: Shell, bus: notify.Bus) -> None:
    first = bus.publish("t", 1)
    bus.publish("t", 2)
    _, port = started(shell, "out", "--tcp", "0", "--topic", "t", "--events", "--since", first, "--needs", "door")
    with peer(port) as client:
        client.send("\n")
        with bus.service("door"):
            record = msgspec.json.decode(client.line())
    assert (record["topic"], record["contents"]) == ("t", 2)


def test_a_gateway_takes_no_more_while_the_one_that_it_waits_for_is_behind(shell: Shell, bus: notify.Bus) -> None:
    shell.environ["NOTIFY_LOG_LENGTH"] = "200"
    log = bus.keys.log("t")
    _, port = started(shell, "in", "--tcp", "0", "--topic", "t", "--waits-for", "relay")
    with peer(port) as machine:
        machine.send("".join(f"{number}\n" for number in range(2_000)))
        wait_until(lambda: bus.redis.xlen(log) >= 100, timeout_s=20, what="half of the log")
        reader, _ = started(shell, "out", "--tcp", "0", "--topic", "t", "--position", "relay", "--since", "start")
        wait_until(lambda: b'"1999"' in bus.redis.xrevrange(log, count=1)[0][1][b"data"], timeout_s=20, what="the last line")
    wait_until(lambda: b'"t":"start"' not in (bus.redis.get(bus.keys.position("relay")) or b""), what="the position")
    reader.interrupt()
    assert "gap" not in reader.end().err


def test_a_secret_is_asked_for(shell: Shell, bus: notify.Bus) -> None:
    (shell.folder / "token").write_text("open sesame\n")
    _, port = started(shell, "in", "--tcp", "0", "--topic", "t", "--token-file", "token")
    with bus.subscribe("t") as events, peer(port) as thief, peer(port) as friend:
        thief.send("open\nlet me in\n")
        friend.send("open sesame\nhello\n")
        event = events.get(10)
        assert isinstance(event, notify.Event)
        assert event.contents == "hello"


def test_a_gateway_that_connects_waits_for_its_server(shell: Shell, bus: notify.Bus) -> None:
    _, port = started(shell, "out", "--tcp", "0", "--topic", "t")
    running = shell.start("gateway", "in", "--connect", "--tcp", f"localhost:{port}", "--topic", "u")
    running.said(f"gateway-in-{port}")
    with bus.subscribe("u") as events:
        event = None
        while event is None:
            bus.publish("t", "over the wire")
            event = events.get(0.2)
        assert isinstance(event, notify.Event)
        assert event.contents == "over the wire"


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["in", "--tcp", "x", "--topic", "t"], 2, "'x' names no port"),
        (["in", "--tcp", "70000", "--topic", "t"], 2, "'70000' names no port"),
        (["in", "--tcp", "0", "--topic", "*"], 2, "pattern"),
        (["in", "--tcp", "0", "--topic", "t", "--allow", "lab"], 2, "'lab' in allowed is no network"),
        (["out", "--tcp", "0", "--topic", "t", "--token-file", "none"], 2, "the token file 'none' cannot be read"),
        (["out", "--tcp", "0", "--topic", "t", "--since", "never"], 2, "never"),
        (["in", "--tcp", "{taken}", "--topic", "t"], 1, "cannot be listened at: another process listens there already"),
        (["in", "--tcp", "a..b:1", "--connect", "--topic", "t"], 1, "'a..b' is no name of a host"),
        (["in", "--tcp", "nowhere.invalid:1", "--connect", "--topic", "t"], 1, "the host 'nowhere.invalid' is unknown"),
    ],
)
def test_a_gateway_that_cannot_start_says_why_in_one_line(
    shell: Shell, bus: notify.Bus, arguments: list[str], code: int, problem: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = shell.run("gateway", *[each.format(taken=taken.getsockname()[1]) for each in arguments])
    assert done.code == code
    assert len(done.err.splitlines()) == 1
    assert problem in done.err


def test_hostile_lines_are_not_shown_by_a_gateway(shell: Shell, bus: notify.Bus) -> None:
    running, port = started(shell, "in", "--tcp", "0", "--topic", "t", "--framing", "json", "--progress")
    with bus.subscribe("t") as events, peer(port) as client:
        client.send(EVIL.replace("\n", "") + "\n" + '"ok"\n')
        event = events.get(10)
        assert isinstance(event, notify.Event)
        assert event.contents == "ok"
    running.signal(signal.SIGTERM)
    done = running.end()
    assert [line for line in done.err.splitlines() if not line.isprintable()] == []
    assert done.out == ""
