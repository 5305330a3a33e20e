"""The outline in the README as it is written there: a device, two machines, and clients of three ports, each in a process of its own."""

import os
import pty
import re
import signal
import socket
import sqlite3
import time
import tty
from pathlib import Path

import pytest

from tests.cli.conftest import Shell
from tests.support.peers import Peer, peer

pytestmark = pytest.mark.any_server

README = Path(__file__).parents[3] / "README.md"
CLASSES = {"pump": ("critical", "cellar"), "door": ("important", "hall"), "lamp": ("normal", "attic")}


def file_of(name: str) -> str:
    found = re.search(rf"^```\w+\n# {re.escape(name)}\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def test_the_outline_of_two_machines_takes_fifteen_lines() -> None:
    assert sum(bool(line) for name in ("machine_a.toml", "machine_b.py") for line in file_of(name).splitlines()) <= 15


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def connected(port: int) -> "socket.socket":
    """Wait until something listens at a port."""
    deadline = time.monotonic() + 15
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, f"nothing listens at {port}"


def test_K9_a_device_is_heard_by_the_clients_of_three_ports(alone: Shell) -> None:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    taken, *outgoing = free_ports(4)
    renamed = dict(zip((1500, 1600, 1601, 1602), (taken, *outgoing), strict=True))
    a, b = file_of("machine_a.toml"), file_of("machine_b.py")
    for port, free in renamed.items():
        a, b = a.replace(str(port), str(free)), b.replace(str(port), str(free))
    (alone.folder / "machine_a.toml").write_text(a.replace("/dev/ttyUSB0", os.ttyname(theirs)).replace("machine-b", "localhost"))
    (alone.folder / "machine_b.py").write_text(b)
    with sqlite3.connect(alone.folder / "devices.db") as db:
        db.execute("CREATE TABLE devices (id, class, place)")
        db.executemany("INSERT INTO devices VALUES (?, ?, ?)", [(name, *row) for name, row in CLASSES.items()])
    db.close()
    machine_b = alone.start("flow", "run", "machine_b.py")
    machine_b.said("running the flow")
    clients: dict[str, Peer] = {}
    machines = [machine_b]
    with peer(outgoing[0]) as clients["normal"], peer(outgoing[1]) as clients["important"], peer(outgoing[2]) as clients["critical"]:
        machines.append(alone.start("flow", "run", "machine_a.toml"))
        machines[1].said("running the flow machine_a")
        for number in range(20):
            os.write(ours, f"pump {number}\ndoor {number}\nlamp {number}\n".encode())
        for name, (kind, place) in CLASSES.items():
            expected = [f"('{kind}', '{place}: {name} {number}')" for number in range(20)]
            assert clients[kind].lines(20) == [line.replace("('", '["').replace("', '", '","').replace("')", '"]') for line in expected]
        for machine in machines[::-1]:
            machine.signal(signal.SIGTERM)
            assert machine.end().code == 0
    os.close(ours)
    os.close(theirs)
