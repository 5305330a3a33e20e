"""The bus: one face over events, directory, services, requests and state, and the parts that run in its background.

`notify.connect` makes a bus; programs, flows and workers take one.
Nothing below it knows a bus.
"""

from notify.bus.bus import Bus

__all__ = ["Bus"]
