"""The commands about services: list, show, watch, sweep, kill and call them.

`app` adds them to the command line.
Nothing here registers a service: the commands ask the directory and the bus. ``kill`` is imported only when it is called: unlike the
others it needs `workers`.
"""

from cli.services.calling import call
from cli.services.listing import monitor, service, services, watch

__all__ = ["call", "monitor", "service", "services", "watch"]
