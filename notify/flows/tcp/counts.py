"""What an endpoint has done."""

import msgspec

__all__ = ["EndpointCounts"]


class EndpointCounts(msgspec.Struct, frozen=True):
    """What an endpoint has done so far.

    Args:
        clients: connections that are open now.
        connected: connections that were accepted, or made.
        refused: clients that were not let in: too many, not allowed, a wrong token, no handshake.
        closed: connections that this side closed for a reason, such as a frame that is too long, or idleness.
        received: frames that came in.
        bad: frames that came in and could not be used.
        sent: frames that were given to the sink; each goes to all clients.
        dropped: frames that a client did not get, since it read too slowly or was lost; counted for each client.
    """

    clients: int = 0
    connected: int = 0
    refused: int = 0
    closed: int = 0
    received: int = 0
    bad: int = 0
    sent: int = 0
    dropped: int = 0
