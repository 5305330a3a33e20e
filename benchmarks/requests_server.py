"""The answering side of the benchmark of calls: serves a method by Notify, and the same by a loop around BRPOP."""

import sys
import threading
from typing import Any

import msgspec
import redis

import notify


class Calculator:
    """What is called."""

    def multiply(self, a: int, b: int) -> int:
        return a * b


def pong(client: redis.Redis) -> None:
    """Answer each ping until one is empty."""
    while True:
        ping: Any = client.brpop(["bench-ping"], timeout=0)
        if not ping[1]:
            return
        a, b = msgspec.json.decode(ping[1])
        client.lpush("bench-pong", msgspec.json.encode(a * b))


if __name__ == "__main__":
    with (
        notify.connect(sys.argv[1]) as bus,
        bus.service("bench-calculator", exports=Calculator()),
        redis.Redis.from_url(sys.argv[1], socket_timeout=None) as client,
    ):
        thread = threading.Thread(target=pong, args=(client,))
        thread.start()
        print("ready", flush=True)
        sys.stdin.read()
        bus.redis.lpush("bench-ping", b"")
        thread.join()
