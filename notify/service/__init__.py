"""One running service: registration, heartbeats, reports and requests, until it is withdrawn.

`Bus.service` makes a service. `Bus.manager` makes the notification manager, which is a service as well.
This folder never calls or watches other services.
"""

from notify.service.backplane import Backplane
from notify.service.heartbeat import Heartbeats
from notify.service.manager import NotificationManager
from notify.service.naming import NamePolicy, Standby
from notify.service.report import Report
from notify.service.service import Service

__all__ = [
    "Backplane",
    "Heartbeats",
    "NamePolicy",
    "NotificationManager",
    "Report",
    "Service",
    "Standby",
]
