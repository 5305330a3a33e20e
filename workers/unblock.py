"""Ending a worker's wait for a job from the server's side: no job is lost that the server hands over at that moment."""

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from notify.connection import Client
from notify.errors import ServerError

__all__ = ["end_wait"]

AGAIN_S: Final = 0.02

log = logging.getLogger(__name__)


def end_wait(client: Client, *, waits: Callable[[], bool]) -> None:
    """Unblock the connections that have the name of this client's, until ``waits`` says that nobody waits any more."""
    name = client.connection_pool.connection_kwargs["client_name"]
    try:
        while waits():
            with client.translating("ending the wait for a job"):
                connections: Any = client.client_list(_type="normal")
                for connection in connections:
                    if connection["name"] == name and "b" in connection["flags"]:
                        client.client_unblock(int(connection["id"]))
            time.sleep(AGAIN_S)  # it may have been about to wait
    except ServerError as exc:
        log.warning("%s; the wait ends by itself", exc)
