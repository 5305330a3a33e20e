"""What becomes of held jobs: they come back when what they need is there, some at a time, or are cancelled after their time."""

from typing import Final

from notify.server import Client
from workers.scripts import AT_ONCE, JobScripts

__all__ = ["HeldJobs"]

FIRST: Final = 8
"""Jobs of a queue that come back first; then twice as many each time, as soon as the last of those before has started."""
MOST: Final = 512
SHORTEST_S: Final = 0.02
LONGEST_S: Final = 1.0
IDLE_S: Final = 2.0
"""While nothing is held. What is held from then on, and has a shorter time, is cancelled so much late, once."""


class HeldJobs:
    """Looks after all held jobs. Any number may do so at once; one is enough.

    Args:
        client: for the thread that does it.
    """

    def __init__(self, client: Client) -> None:
        self._scripts = JobScripts(client)
        self._pause_s = LONGEST_S

    def look_after(self) -> float:
        """Put back those whose time has come, and cancel those whose time is over.

        Returns:
            In how many seconds to look again.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        over, pairs = self._scripts.expire_holds(AT_ONCE)
        moved = [self._scripts.release_held(queue, need, first=FIRST, most=MOST) for queue, need in pairs]
        if over == AT_ONCE or any(one.released for one in moved):
            self._pause_s = SHORTEST_S
        elif any(one.is_under_way for one in moved):
            self._pause_s = min(LONGEST_S, 2 * self._pause_s)  # those before are still to start
        else:
            self._pause_s = LONGEST_S if pairs else IDLE_S
        return self._pause_s
