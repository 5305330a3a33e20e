"""The two ends of flows on topics: `publish_to` and `subscribe_to`, with positions that outlive a process.

Flows of several processes and machines are joined by them.
They never decide what an event means.
"""

from notify.flows.topics.publishing import publish_to
from notify.flows.topics.subscription import subscribe_to

__all__ = ["publish_to", "subscribe_to"]
