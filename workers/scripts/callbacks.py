"""The scripts about callbacks of runs that were killed: they are owed with the end of the run, and one worker takes each."""

from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec

from notify.server import Client, ScriptRunner
from workers import rq_keys
from workers.scripts.run import Run

__all__ = ["CallbackScripts", "OwedCallback"]

MOST: Final = 1_000
"""Callbacks that are kept for a queue; the oldest make place."""


class OwedCallback(msgspec.Struct, frozen=True, kw_only=True):
    """A callback that is to be called once.

    Args:
        job, fence: the run that has ended.
        function: the path of the callback.
        reason: why the run has failed.
        error: what ``on_failure`` gets: ``abandoned`` for a run that was killed, ``refused`` for a job that cannot be read. Empty for
            ``on_stopped``, of a run that was stopped and whose worker was killed.
    """

    job: str
    fence: str
    function: str
    reason: str
    error: Literal["abandoned", "refused", ""] = "abandoned"


class CallbackScripts(ScriptRunner):
    """The steps of a callback that the process of its run cannot call any more."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, "workers.scripts")

    def owe(self, queue: str, owed: OwedCallback, *, pipeline: Any) -> None:
        """Have a callback called, unless the process of the run has begun to.

        Args:
            queue: the queue of the job, whose workers look for it.
            owed: the callback.
            pipeline: the transaction that records the end of the run: so the callback is owed if and only if that is recorded.
        """
        keys = [self.keys.callbacks(queue), rq_keys.job(owed.job)]
        # EVAL, not EVALSHA: a transaction cannot load the script and try again.
        pipeline.eval(self.source("owe_callback"), len(keys), *keys, owed.fence, msgspec.json.encode(owed), MOST)

    def begin(self, run: Run) -> bool:
        """Note that a callback of a run begins to be called. Returns false if another run has the job."""
        action = f"beginning a callback of job {run.job_id}"
        return bool(self.run("begin_callback", [rq_keys.job(run.job_id)], [run.fence], action=action))

    def owed(self, queue: str) -> list[bytes]:
        """Return the callbacks that are owed for jobs of a queue, the oldest first, as JSON."""
        with self.client.translating(f"reading the callbacks of {queue!r}"):
            raw: Any = self.client.lrange(self.keys.callbacks(queue), 0, -1)
            return list(raw)

    def take(self, queue: str, owed: bytes, job_id: str) -> dict[bytes, bytes] | None:
        """Take a callback from the list: only one worker can.

        Returns:
            The hash of the job, empty if it is gone; ``None`` if another worker took the callback.
        """
        keys = [self.keys.callbacks(queue), rq_keys.job(job_id)]
        taken, *rest = self.run("take_callback", keys, [owed], action=f"taking a callback of job {job_id}")
        if not taken:
            return None
        fields: Iterable[bytes] = iter(rest[0])
        return dict(zip(fields, fields, strict=True))
