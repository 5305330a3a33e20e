"""The directory: which services are alive, what they provide, and the sweep that withdraws services without heartbeats.

Services register here; the bus, the request client, workers and the command line look services up here.
This folder never runs or calls a service.
"""

from notify.directory.changes import Alarm, ServiceChange, read_change, read_logged_change
from notify.directory.directory import Directory, ServiceInfo
from notify.directory.info import (
    ENTRY_FIELDS,
    check_address,
    check_metadata,
    check_name,
    check_ttl,
    own_fields,
    read_entry,
    silence,
    to_ms,
)
from notify.directory.monitor import Monitor
from notify.directory.reader import registered_services
from notify.directory.scripts import Beat, DirectoryScripts
from notify.directory.target import Provider, Target, provides
from notify.directory.upkeep import Upkeep
from notify.directory.watch import Available, Change, Suspect, Watch, Withdrawn
from notify.directory.withdrawal import Incarnation, NewService

__all__ = [
    "ENTRY_FIELDS",
    "Alarm",
    "Available",
    "Beat",
    "Change",
    "Directory",
    "DirectoryScripts",
    "Incarnation",
    "Monitor",
    "NewService",
    "Provider",
    "ServiceChange",
    "ServiceInfo",
    "Suspect",
    "Target",
    "Upkeep",
    "Watch",
    "Withdrawn",
    "check_address",
    "check_metadata",
    "check_name",
    "check_ttl",
    "own_fields",
    "provides",
    "read_change",
    "read_entry",
    "read_logged_change",
    "registered_services",
    "silence",
    "to_ms",
]
