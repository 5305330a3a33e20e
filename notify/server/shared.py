"""Another client on the connections of one: for a bus that lives as long as a job."""

import copy

from notify.server.client import Client
from notify.server.direct import DirectConnection

__all__ = ["sharing"]


def sharing(client: Client) -> Client:
    """Return another client on the connections of a client, which closes none of them. Making one anew takes twenty times as long."""
    other = copy.copy(client)
    other._is_closed, other.auto_close_connection_pool, other.timeouts = False, False, 0
    other._direct = DirectConnection(client.connection_pool, keep=False)
    return other
