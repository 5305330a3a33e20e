"""``notify flow``, ``notify gateway`` and ``notify chat``: run flows from files, and the flows that need no file.

`cli.app` adds them to the command line.
Nothing here passes an item on itself: the package ``notify.flows`` does.
"""

from cli.flow.chatting import chat
from cli.flow.command import flow
from cli.flow.gateways import gateway

__all__ = ["chat", "flow", "gateway"]
