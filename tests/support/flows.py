"""Processes with a flow, for tests that kill them: ``flows.<role>`` of `tests.support.processes.Process`."""

import sys
from collections.abc import Callable

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


ROLES: dict[str, Callable[..., None]] = {"copier": copier, "relay": relay}

if __name__ == "__main__":
    ROLES[sys.argv[1]](*sys.argv[2:])
