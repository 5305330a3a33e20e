"""The connection to the Redis server: clients, scripts, health, and a private server where none is named.

Every other folder of the package talks to the server through this one.
It knows nothing of events, services or jobs.
"""

from notify.server.backoff import Outage
from notify.server.client import PREFIX, Client, open_client, process_name
from notify.server.embedded import EmbeddedServer, default_directory
from notify.server.health import Link, LinkHandler, LinkState, LinkStatus
from notify.server.scripts import ScriptRunner
from notify.server.stream_reader import COUNT, Entries, StreamReader

__all__ = [
    "COUNT",
    "PREFIX",
    "Client",
    "EmbeddedServer",
    "Entries",
    "Link",
    "LinkHandler",
    "LinkState",
    "LinkStatus",
    "Outage",
    "ScriptRunner",
    "StreamReader",
    "default_directory",
    "open_client",
    "process_name",
]
