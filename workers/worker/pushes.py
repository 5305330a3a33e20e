"""Finds jobs that others than our scripts put on a queue, as plain RQ does, and wakes idle workers for them."""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import redis

from notify.server import Client
from workers import rq_keys
from workers.scripts import JobScripts

__all__ = ["PushWatch"]

SETTLE_S: Final = 0.005
"""Seconds after a push before the queue is looked at: whoever was woken for the job by then has claimed it."""
AGAIN_S: Final = 0.05
"""Seconds after which a queue is looked at again that holds jobs for which nobody was woken, because somebody just was."""
IDLE_S: Final = 3600.0

log = logging.getLogger(__name__)


class PushWatch:
    """Watches the lists of all queues by the tracking of the server, which tells once when a key changes that was read before.

    One worker does so for all, the leader. If the server refuses to track keys, or while there is no leader, idle workers find such
    jobs when they look at their queues, which they do once a second.

    Args:
        client: the client of the worker, for commands that need not be tracked.
        leads: whether this worker leads now.
    """

    def __init__(self, client: Client, leads: Callable[[], bool]) -> None:
        self._client = client
        self._scripts = JobScripts(client)
        self._leads = leads
        self._is_refused = False
        self.forget()

    def forget(self) -> None:
        """Forget what the server tracked: the connection is a new one."""
        self._tracked: set[str] | None = None
        self._changed: set[str] = set()
        self._look_at = 0.0

    def changed(self, keys: Iterable[bytes] | None) -> None:
        """Note keys that have changed; ``None``: all keys were deleted."""
        if self._tracked is None:
            return
        if not self._changed:
            self._look_at = time.monotonic() + SETTLE_S
        self._changed |= {rq_keys.QUEUES} if keys is None else {key.decode(errors="replace") for key in keys}

    def step(self, ask: Callable[..., Any]) -> float:
        """Do what is due, and return the seconds until this must be called again.

        Args:
            ask: sends a command on the connection on which the server tells of changes, and returns the answer.

        Raises:
            NotifyError, redis.RedisError: the connection is lost.
        """
        if not self._leads() or self._is_refused:
            if self._tracked is not None:
                ask("CLIENT", "TRACKING", "OFF")
                self.forget()
            return IDLE_S
        if self._tracked is None:
            self._begin(ask)
        elif self._changed and self._look_at <= time.monotonic():
            self._look(ask)
        return max(0.0, self._look_at - time.monotonic()) if self._changed else IDLE_S

    def _begin(self, ask: Callable[..., Any]) -> None:
        try:
            ask("CLIENT", "TRACKING", "ON")
        except redis.ResponseError as refusal:
            log.info("the server does not track keys: jobs of plain RQ are found within a second, not at once (%s)", refusal)
            self._is_refused = True
            return
        self._tracked = set()
        self._changed = {rq_keys.QUEUES}
        self._look(ask)

    def _look(self, ask: Callable[..., Any]) -> None:
        """Track the changed keys again, and then wake workers for jobs on them: a later push is told again."""
        changed, self._changed = self._changed, set()
        if rq_keys.QUEUES in changed:
            ask("EXISTS", rq_keys.QUEUES)
            with self._client.translating("listing the queues"):
                found: Any = self._client.smembers(rq_keys.QUEUES)
            changed |= {key.decode(errors="replace") for key in found} - (self._tracked or set())
            changed.discard(rq_keys.QUEUES)
        if not changed:
            return
        self._tracked = (self._tracked or set()) | changed
        if ask("EXISTS", *changed) and self._scripts.wake_idle([rq_keys.queue_name(key) for key in changed], is_leaving=False):
            self._changed |= changed  # look again: there are jobs for which nobody was woken
            self._look_at = time.monotonic() + AGAIN_S
