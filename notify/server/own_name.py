"""The default name of this process, which stands in events and in the list of clients."""

import os
import socket
from functools import cache

__all__ = ["process_name"]


def process_name() -> str:
    """Return the default name of this process, ``host:pid``."""
    return f"{_host_name()}:{os.getpid()}"


@cache
def _host_name() -> str:
    return socket.gethostname()
