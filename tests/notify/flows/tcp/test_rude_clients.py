"""Clients that do what they like: whatever they send and however they leave, a good client notices nothing."""

import contextlib
import random
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from notify.flows import Failed, pipeline
from notify.flows.fanout import QueueLimits
from notify.flows.tcp import TCPServer
from notify.testing import wait_until
from tests.support.peers import Peer, peer

pytestmark = pytest.mark.any_server

RUDE: list[Callable[[Peer, random.Random], Any]] = [
    lambda client, chance: client.send(chance.randbytes(chance.randrange(1, 5_000))),
    lambda client, _: client.send("half a line"),
    lambda client, _: client.send("x" * 50_000),
    lambda client, _: client.send("rude\n" * 2_000),
    lambda client, _: client.send("\n" * 1_000),
    lambda client, _: client.socket.shutdown(socket.SHUT_WR),
    lambda client, _: client.reset(),
    lambda client, _: client.close(),
    lambda client, _: client.line(),
    lambda _, __: None,
]
"""What a rude client may do next."""


def be_rude(port: int, seed: int, stop: threading.Event) -> None:
    chance = random.Random(seed)
    while not stop.is_set():
        with contextlib.suppress(OSError, ValueError), peer(port, small_buffer=chance.random() < 0.5) as client:
            client.socket.settimeout(0.05)
            for _ in range(chance.randrange(5)):
                chance.choice(RUDE)(client, chance)


@pytest.mark.parametrize("seed", range(2))
def test_rude_clients_disturb_nobody(seed: int) -> None:
    server = TCPServer(0, max_clients=20, queue=QueueLimits(max_items=100_000, max_bytes=100_000_000))
    failed: list[Failed] = []
    stop = threading.Event()
    good_lines = [f"good {number}" for number in range(2_000)]

    def only_good(line: str) -> str | None:
        return line if line.startswith("good ") else None

    with pipeline(server, only_good, server, errors=failed.append) as flow, peer(server.port) as good:
        rude = [threading.Thread(target=be_rude, args=(server.port, 10 * seed + number, stop)) for number in range(4)]
        for thread in rude:
            thread.start()
        for start in range(0, 2_000, 100):
            good.send("".join(f"{line}\n" for line in good_lines[start : start + 100]))
            assert good.lines(100) == good_lines[start : start + 100]
        stop.set()
        for thread in rude:
            thread.join()
        wait_until(lambda: server.counts().clients == 1, what="the end of the rude clients")
        counts = server.counts()
        assert flow.counters()["TCPServer"].errors == counts.bad == len(failed)
    assert counts.connected > 4
