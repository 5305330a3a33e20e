"""The connection to the Redis server: client, script runner, health, backoff, and a private server for users without one.

Every other folder of the package talks to Redis through this one.
It never depends on events, services or jobs.
"""

from notify.server.backoff import Backoff, is_of_another_type, is_temporary, retry_while_away
from notify.server.client import ANSWER_S, ONE_ATTEMPT, PREFIX, Client, open_client
from notify.server.embedded import EmbeddedServer, default_directory
from notify.server.health import ConnectionMonitor, LinkHandler, LinkState, LinkStatus
from notify.server.numbers import LARGEST, LONGEST_TTL_S, whole
from notify.server.own_name import process_name
from notify.server.raw import RawConnection, file_number, make_raw, read_push, read_within, release_raw, shut_down, take_raw
from notify.server.scripts import ScriptRunner, quoted
from notify.server.shared import sharing
from notify.server.single import SingleConnection
from notify.server.stream_reader import COUNT, Entries, StreamReader

__all__ = [
    "ANSWER_S",
    "COUNT",
    "LARGEST",
    "LONGEST_TTL_S",
    "ONE_ATTEMPT",
    "PREFIX",
    "Backoff",
    "Client",
    "ConnectionMonitor",
    "EmbeddedServer",
    "Entries",
    "LinkHandler",
    "LinkState",
    "LinkStatus",
    "RawConnection",
    "ScriptRunner",
    "SingleConnection",
    "StreamReader",
    "default_directory",
    "file_number",
    "is_of_another_type",
    "is_temporary",
    "make_raw",
    "open_client",
    "process_name",
    "quoted",
    "read_push",
    "read_within",
    "release_raw",
    "retry_while_away",
    "sharing",
    "shut_down",
    "take_raw",
    "whole",
]
