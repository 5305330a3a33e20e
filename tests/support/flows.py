"""Processes with a flow, for tests that kill them: ``flows.<role>`` of `tests.support.processes.Process`."""

import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import count

import notify
from notify.flows import batch, contents, lookup, pipeline, publish_to, subscribe_to
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


ROLES: dict[str, Callable[..., None]] = {"copier": copier, "relay": relay, "runner": runner}

if __name__ == "__main__":
    ROLES[sys.argv[1]](*sys.argv[2:])
