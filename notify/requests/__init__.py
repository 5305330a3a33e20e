"""Requests: calls a method of a service, and serves such calls.

`Bus.call` uses the client, `RequestClient`. A service with ``exports`` uses the server, `RequestServer`.
This folder never registers or withdraws a service.
"""

from notify.requests.client import Method, RequestClient
from notify.requests.exports import capabilities_of, exported_methods
from notify.requests.offered import Offered, offered_by
from notify.requests.server import RequestServer

__all__ = [
    "Method",
    "Offered",
    "RequestClient",
    "RequestServer",
    "capabilities_of",
    "exported_methods",
    "offered_by",
]
