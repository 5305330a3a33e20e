"""RQ 3's rate limits: enqueues the jobs for which there is room again, whoever ended the ones before."""

from typing import Final

from notify.server import Client
from workers.rq import IS_RQ_3, fill_rate_limits

__all__ = ["RateLimits"]

INTERVAL_S: Final = 1.0
"""Seconds between two looks while there are rate limits. RQ's code makes room at once when a job ends by itself; this is for jobs that
were cancelled or scheduled."""
IDLE_S: Final = 10.0
NEVER_S: Final = 3_600.0


class RateLimits:
    """A duty of the leader. On RQ 2.12, which has no rate limits, it does nothing.

    Args:
        client: the client of the thread that calls `run`.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def run(self) -> float:
        """Enqueue the jobs for which rate limits have room.

        Returns:
            Seconds until the next look.

        Raises:
            ServerError: Redis did not answer, or refused.
        """
        if not IS_RQ_3:
            return NEVER_S
        with self._client.translating("filling rate limits"):
            return INTERVAL_S if fill_rate_limits(self._client) else IDLE_S
