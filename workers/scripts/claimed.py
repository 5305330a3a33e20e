"""A claim: a job that a worker has taken, and the end that it tells of in the same call."""

from collections.abc import Mapping, Sequence

import msgspec

from workers.scripts.run import Ended, Run
from workers.scripts.runner import rq_time_of

__all__ = ["Claim", "fields_of", "texts_of_end"]


class Claim(msgspec.Struct, frozen=True):
    """The answer to a claim.

    Args:
        ended: how the end of the last run was recorded: ``finished``, ``refused``, ``dependents``, or empty if no run had ended.
        answer: ``started``, or why there is no job: ``suspended``, ``more`` (ask again), ``look`` (`ClaimScripts.examine_call` first),
            ``other`` (what comes first calls another function), or empty if no queue has one.
        queue: the index, in the queues that were passed, of the queue on which the job was; for ``more`` and ``look`` the ``start`` of
            the next claim; for an empty answer the number of jobs that were left in the queues.
        job_id: the id of the job.
        fields: the hash of the job.
        fence: the fence of the run that begins.
        problem: why the job cannot be run at all, or empty.
        overdue: a service that is silent but not withdrawn yet, and that a job on one of the queues waits for; else empty.
        has_more: whether there are more jobs on that queue.
    """

    ended: str
    answer: str
    queue: int
    job_id: str
    fields: Mapping[bytes, bytes]
    fence: str
    problem: str = ""
    overdue: str = ""
    has_more: bool = False

    @property
    def run(self) -> Run:
        """The run that was claimed."""
        return Run(self.job_id, self.fence)

    @property
    def goes_with_others(self) -> bool:
        """Whether plain jobs may be claimed while this one runs: it needs no service, and calls nothing when it is stopped."""
        return not (self.problem or self.fields.get(b"needs") or self.fields.get(b"stopped_callback_name"))


def texts_of_end(ended: Ended | None) -> Sequence[str | bytes | int]:
    """Return an end as ``claim.lua`` and ``refill.lua`` take it."""
    if ended is None:
        return ("", "", "", "", "", "", "", "")
    started_s, ended_s = ended.started_s, ended.ended_s
    times = (f"{started_s:.6f}", f"{ended_s:.6f}", rq_time_of(started_s), rq_time_of(ended_s))
    announced = "?" if ended.is_announced is None else "1" if ended.is_announced else ""
    return (ended.run.job_id, ended.run.fence, announced, *times, ended.result or b"")


def fields_of(flat: Sequence[bytes], common: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the hash of a job as it is since the start of its run: its fields and values, and what all that start then have in common."""
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    fields.update(common)
    return fields
