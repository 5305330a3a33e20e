"""The connection to the Redis server: clients, scripts, health, and a private server where none is named.

Every other folder of the package talks to the server through this one.
It knows nothing of events, services or jobs.
"""

from notify.server.backoff import Backoff, retry_while_away
from notify.server.client import PREFIX, Client, open_client, process_name
from notify.server.embedded import EmbeddedServer, default_directory
from notify.server.health import ConnectionMonitor, LinkHandler, LinkState, LinkStatus
from notify.server.scripts import ScriptRunner
from notify.server.stream_reader import COUNT, Entries, StreamReader

__all__ = [
    "COUNT",
    "PREFIX",
    "Backoff",
    "Client",
    "ConnectionMonitor",
    "EmbeddedServer",
    "Entries",
    "LinkHandler",
    "LinkState",
    "LinkStatus",
    "ScriptRunner",
    "StreamReader",
    "default_directory",
    "open_client",
    "process_name",
    "retry_while_away",
]
