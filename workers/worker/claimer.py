"""Claims jobs until the server answers, and mends what a failover took back: the end of a run that only the old primary knew."""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from notify.server import SingleConnection, retry_while_away
from workers.scripts import Claim, ClaimScripts, Ended

__all__ = ["Claimer"]

UNHEARD_S: Final = 3.0
"""Seconds without an answer to a claim after which the worker does not renew its lease any more."""
REMEMBERED: Final = 8
"""The last ends that are kept, in case that a failover takes one back."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class Claimer:
    """Makes the claims of one worker, in its main thread. Only `is_heard` may be called from other threads.

    A replica that is promoted may not know the last commands that the old primary answered. If the server holds a run of this worker
    for running that the worker has ended, its end is recorded again; if the worker does not know that end, the run ends as if the
    worker had died. This is looked up each time a connection is opened, for a failover closes it.

    Args:
        name: the name of the worker.
        claims: the scripts.
        connection: over which they run.
        leaving: set when the worker was asked to end.
        abandon: called with the id of a job to end its run as if the worker had died.
    """

    def __init__(
        self, name: str, claims: ClaimScripts, connection: SingleConnection, *, leaving: threading.Event, abandon: Callable[[str], None]
    ) -> None:
        self._name = name
        self._claims = claims
        self._connection = connection
        self._leaving = leaving
        self._abandon = abandon
        self._recorded: deque[Ended] = deque(maxlen=REMEMBERED)
        self._asking_since: float | None = None

    def is_heard(self) -> bool:
        """Return whether the server answers the main thread of the worker. It does if this does not ask anything now."""
        since = self._asking_since
        return since is None or time.monotonic() - since < UNHEARD_S

    def claim(self, queues: Sequence[str], *, ended: Ended | None, start: int, leave_s: float) -> Claim:
        """Record the end of a run and claim a job, see `ClaimScripts.claim`. Errors as for `ask`."""
        fence = os.urandom(16).hex()

        def attempt(again: bool) -> Claim:
            if self._has_opened():
                self._mend(ended)
            return self._claims.claim(queues, fence=fence, ended=ended, again=again, start=start)

        claim = self.ask(attempt, leave_s=leave_s)
        if ended is not None and claim.ended == "finished":
            self._recorded.append(ended)
        return claim

    def ask(self, call: Callable[[bool], T], *, leave_s: float) -> T:
        """Call a function until the server answers, see `retry_while_away`.

        Raises:
            NotifyError, redis.RedisError: the worker was asked to end and the server is still away, or the server refused for good.
        """
        self._asking_since = time.monotonic()
        try:
            return retry_while_away(call, name=f"worker {self._name}", leaving=self._leaving, leave_s=leave_s)
        finally:
            self._asking_since = None

    def _has_opened(self) -> bool:
        with self._connection.translating("connecting"):
            return self._connection.ensure_open()

    def _mend(self, ended: Ended | None) -> None:
        """End the run that the server holds for running, unless it is the one whose end is to be recorded now."""
        run = self._claims.left_run()
        if run is None or (ended is not None and ended.run == run):
            return
        known = next((each for each in self._recorded if each.run == run), None)
        if known is not None:
            log.warning("the server has lost the end of job %s, probably in a failover: it is recorded again", run.job_id)
            if self._claims.claim([], fence=os.urandom(16).hex(), ended=known).ended == "finished":
                return
        log.warning(
            "the server takes job %s for running, and worker %s does not run it: it is tried again or fails", run.job_id, self._name
        )
        self._abandon(run.job_id)
