"""A process full of services that do nothing: ``python -m benchmarks.service_host <url> <first> <count> <ttl_s>``.

It says "ready" when all are registered, and ends with its standard input.
"""

import sys
from contextlib import ExitStack

import notify


def host(url: str, first: int, count: int, ttl_s: float) -> None:
    with notify.connect(url) as bus, ExitStack() as stack:
        for number in range(first, first + count):
            stack.enter_context(bus.service(f"service-{number}", provides={"work"}, ttl_s=ttl_s))
        print("ready", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    host(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
