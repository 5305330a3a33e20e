"""Flows over the network: TCP in, a topic, TCP out, against plain asyncio over redis-py's pub/sub on the same server."""

import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import notify
from benchmarks.compare import compare_many
from benchmarks.flow_socat import has_socat, socat_line
from notify.testing import wait_until

__all__ = ["latency_of_tcp", "memory_of_tcp", "million_without_loss", "thousand_clients_of_tcp", "throughput_of_tcp"]

LINE_BYTES: Final = 200
LINES: Final = 100_000
PLAIN_LINES: Final = 20_000
SAMPLES: Final = 3_000
PACE_S: Final = 0.002
FLOOD: Final = 1_000_000
CLIENTS: Final = 1_000
CLIENT_LINES: Final = 200
SOCAT: Final = "socat"


class Side:
    """A process of `benchmarks.flow_relay`."""

    def __init__(self, name: str, url: str) -> None:
        command = [sys.executable, "-m", "benchmarks.flow_relay", name, url]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self._line())

    def state(self) -> tuple[int, int, int, int]:
        """Return its resident memory in KiB, its clients, and the frames that were sent and dropped."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        memory_kib, clients, sent, dropped = map(int, self._line().split())
        return memory_kib, clients, sent, dropped

    def connect(self) -> socket.socket:
        connected = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected

    def end(self) -> None:
        self._process.communicate(timeout=60)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def relay(bus: notify.Bus, prefix: str = "") -> Iterator[tuple[Side, Side]]:
    """Both sides of a relay."""
    with ExitStack() as stack:
        sides = []
        for name in ("in", "out"):
            sides.append(Side(f"{prefix}{name}", str(bus.settings.url)))
            stack.callback(sides[-1].end)
        yield sides[0], sides[1]


@contextmanager
def line(bus: notify.Bus, prefix: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The device and the client of a line of two machines, connected, after the first line has come through."""
    with ExitStack() as stack:
        if prefix == SOCAT:
            device, client = stack.enter_context(socat_line())
        else:
            into, out = stack.enter_context(relay(bus, prefix))
            client, device = stack.enter_context(out.connect()), stack.enter_context(into.connect())
        _warm_up(device, client)
        yield device, client


def throughput_of_tcp(bus: notify.Bus) -> str:
    """Lines of 200 bytes through both machines, from the first that is sent to the last that arrives, sent as fast as they are taken."""

    def rate(prefix: str, count: int) -> float:
        with line(bus, prefix) as (device, client):
            lines = b"x" * (LINE_BYTES - 1) + b"\n"
            sending = threading.Thread(target=device.sendall, args=(lines * count,))
            started = time.perf_counter()
            sending.start()
            _read(client, count * LINE_BYTES)
            took_s = time.perf_counter() - started
            sending.join()
        return count / took_s

    peers = {"asyncio + redis-py": lambda: rate("plain-", PLAIN_LINES)}
    if has_socat():
        peers["socat, without a topic"] = lambda: rate(SOCAT, LINES)
    return "\n".join(map(str, compare_many("TCP in, topic, TCP out", lambda: rate("", LINES), peers, rounds=3)))


def latency_of_tcp(bus: notify.Bus) -> str:
    """Microseconds from the sending of a line to its arrival, with one line every two milliseconds, ours and theirs in turn."""
    ours, peer = _latencies(bus, "", "plain-")
    socat = ""
    if has_socat():  # alone: the more processes take turns, the colder are the caches of each
        (alone,) = _latencies(bus, SOCAT)
        socat = f"   socat, without a topic, p50 {alone[49]:.0f} us, p99 {alone[98]:.0f} us"
    return (
        f"{'latency by TCP, paced':<34} ours p50 {ours[49]:.0f} us, p99 {ours[98]:.0f} us   "
        f"asyncio + redis-py p50 {peer[49]:.0f} us, p99 {peer[98]:.0f} us   ratio of p50 {ours[49] / peer[49]:.2f}{socat}"
    )


def _latencies(bus: notify.Bus, *prefixes: str) -> list[list[float]]:
    """Return the hundredths of the latencies of some lines, which take turns."""
    samples: dict[str, list[float]] = {prefix: [] for prefix in prefixes}
    with ExitStack() as stack:
        ends = {prefix: stack.enter_context(line(bus, prefix)) for prefix in prefixes}
        sent = b"x" * (LINE_BYTES - 1) + b"\n"
        for _ in range(SAMPLES):
            for prefix, (device, client) in ends.items():
                started = time.perf_counter()
                device.sendall(sent)
                _read(client, LINE_BYTES)
                samples[prefix].append((time.perf_counter() - started) * 1e6)
                time.sleep(PACE_S)
    return [statistics.quantiles(each, n=100) for each in samples.values()]


def memory_of_tcp(bus: notify.Bus) -> str:
    """Resident memory of both machines over a million lines, with one client that never reads and one that reads all.

    The lines come as fast as the first machine takes them: on a busy machine the second one may fall behind the log of the topic, which
    holds 10,000 events, and tells its clients of each gap.
    """
    return _million(bus, "", "one never reads")


def million_without_loss(bus: notify.Bus) -> str:
    """The same where the first machine waits for the second one: the client that reads gets all."""
    return _million(bus, "waiting-", "publish_to waits")


def _million(bus: notify.Bus, prefix: str, what: str) -> str:
    with relay(bus, prefix) as (into, out), out.connect(), out.connect() as client, into.connect() as device:
        wait_until(lambda: out.state()[1] == 2, what="both clients")
        _warm_up(device, client)
        lines = (b"x" * (LINE_BYTES - 1) + b"\n") * 1_000
        counted: list[int] = []
        reading = threading.Thread(target=lambda: counted.extend(_count_until_last(client)))
        reading.start()
        figures = []
        started = time.perf_counter()
        for number in range(FLOOD // 1_000):
            device.sendall(lines)
            if number % 100 == 99:
                figures.append((into.state()[0], out.state()[0]))
        while reading.is_alive():
            device.sendall(b"last\n")
            reading.join(0.2)
        took_s = time.perf_counter() - started
        _, _, _, dropped = out.state()
    first, most = (tuple(each // 1024 for each in figure) for figure in (figures[0], tuple(map(max, *figures))))
    return (
        f"{f'1,000,000 lines, {what}':<34} in {first[0]} MiB after 100,000 lines and {most[0]} MiB at most, out {first[1]} and "
        f"{most[1]}; {FLOOD / took_s:,.0f}/s; the other client got {counted[0]:,} and {counted[1]} notices of gaps; "
        f"{dropped:,} dropped for the one that does not read"
    )


def thousand_clients_of_tcp(bus: notify.Bus) -> str:
    """How long until 1,000 clients of one outlet have each of some lines."""
    with relay(bus) as (into, out), ExitStack() as stack:
        clients = [stack.enter_context(out.connect()) for _ in range(CLIENTS)]
        wait_until(lambda: out.state()[1] == CLIENTS, timeout_s=30, what="all clients")
        device = stack.enter_context(into.connect())
        line = b"x" * (LINE_BYTES - 1) + b"\n"
        started = time.perf_counter()
        for _ in range(CLIENT_LINES):
            device.sendall(line)
            time.sleep(PACE_S)
        for client in clients:
            _read(client, CLIENT_LINES * LINE_BYTES)
        took_s = time.perf_counter() - started
        memory_kib, _, _, dropped = out.state()
    return (
        f"{'1,000 clients, 200 lines, paced':<34} {took_s:.2f} s, {CLIENTS * CLIENT_LINES / took_s:,.0f} deliveries/s, "
        f"{dropped} dropped, {memory_kib // 1024} MiB"
    )


def _warm_up(device: socket.socket, client: socket.socket) -> None:
    """Send lines until one comes through: then both connections are open."""
    client.settimeout(0.2)
    came = False
    while True:
        if not came:
            device.sendall(b"w" * (LINE_BYTES - 1) + b"\n")
        try:
            _read(client, LINE_BYTES)
            came = True
        except TimeoutError:
            if came:
                break  # none of them comes any more
    client.settimeout(60)


def _read(client: socket.socket, size: int) -> None:
    buffer = bytearray(262_144)
    while size:
        received = client.recv_into(buffer, min(size, len(buffer)))
        assert received, "the connection has ended"
        size -= received


def _count_until_last(client: socket.socket) -> tuple[int, int]:
    """Read to the line ``last``. Returns how many other lines came, and how many notices of gaps."""
    tail, count, gaps = b"", 0, 0
    while b"last\n" not in tail:
        received = client.recv(262_144)
        assert received, "the connection has ended"
        count += received.count(b"x\n")
        gaps += received.count(b"# gap")
        tail = tail[-10:] + received
    return count, gaps
