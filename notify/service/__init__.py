"""One running service: registration, heartbeats, reports and requests, until it is withdrawn.

`Bus.service` makes it; the notification manager is such a service.
This folder never looks at other services.
"""

from notify.service.heartbeat import Heartbeats
from notify.service.manager import NotificationManager
from notify.service.report import Report
from notify.service.service import Service

__all__ = [
    "Heartbeats",
    "NotificationManager",
    "Report",
    "Service",
]
