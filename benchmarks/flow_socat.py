"""The line of two machines made of two processes of socat: bytes from one port to another, for one client, without a topic between."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["has_socat", "socat_line"]

WAIT_S: Final = 10.0


def has_socat() -> bool:
    """Whether socat is installed; on Debian it is the package of that name."""
    return shutil.which("socat") is not None


@contextmanager
def socat_line() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield the connected device and the connected client."""
    taken, between, out = _free_ports(3)
    first = ["socat", "-u", f"TCP-LISTEN:{taken},bind=127.0.0.1,nodelay", f"TCP:127.0.0.1:{between},nodelay"]
    second = ["socat", "-u", f"TCP-LISTEN:{between},bind=127.0.0.1,nodelay", f"TCP-LISTEN:{out},bind=127.0.0.1,nodelay"]
    machines = [subprocess.Popen(second)]
    try:
        _wait_for_listener(between)
        machines.append(subprocess.Popen(first))
        with _connected(taken) as device, _connected(out) as client:
            yield device, client
    finally:
        for machine in machines:
            machine.terminate()
            machine.wait()


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def _wait_for_listener(port: int) -> None:
    """Wait without connecting: it takes one connection only."""
    deadline = time.monotonic() + WAIT_S
    while f":{port:04X} 00000000:0000 0A" not in Path("/proc/net/tcp").read_text():
        assert time.monotonic() < deadline, f"nothing listens at {port}"
        time.sleep(0.01)


def _connected(port: int) -> socket.socket:
    _wait_for_listener(port)
    connected = socket.create_connection(("127.0.0.1", port), timeout=60)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected
