"""Compares the jobs in Redis with the model of them."""

from typing import Any
from unittest.mock import ANY

import redis

from notify.keys import Keys
from tests.support.job_model import NEEDS, Model
from workers import rq_keys

__all__ = ["check_jobs"]


class _Ends:
    """Equals any lifetime that ends."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int) and other > 0

    __hash__ = None  # type: ignore[assignment]  # it is never kept in a set


class _Holds:
    """Equals a text of words that has these words among others."""

    def __init__(self, words: set[str]) -> None:
        self._words = words

    def __eq__(self, other: object) -> bool:
        return self._words <= set(other.decode().split() if isinstance(other, bytes) else [])

    def __repr__(self) -> str:
        return f"a text with {self._words}"

    __hash__ = None  # type: ignore[assignment]  # it is never kept in a set


ENDS = _Ends()


def check_jobs(client: redis.Redis, keys: Keys, model: Model) -> None:
    """Assert that every job, list, registry and index in Redis is as the model says."""
    pipe = client.pipeline(transaction=False)
    expected: list[Any] = []

    def expect(what: Any) -> None:
        expected.append((len(expected), what))

    for job in model.jobs.values():
        pipe.hmget(rq_keys.job(job.id), "status", "held", "origin", "fence")
        expect([job.status, job.held, job.queue, job.fence if job.status == "started" else ANY])
        pipe.ttl(rq_keys.job(job.id))
        expect(ENDS if job.ended else -1)
    for queue, ids in model.lists.items():
        mine = [job for job in model.jobs.values() if job.queue == queue]
        assert all(job.id in ids for job in mine if job.status == "queued")
        pipe.lrange(rq_keys.queue(queue), 0, -1)
        expect(ids)
        pipe.zrange(rq_keys.deferred(queue), 0, -1)
        expect({job.id for job in mine if job.status == "deferred"})
        pipe.zrange(rq_keys.started(queue), 0, -1)
        expect({f"{run.job_id}:{run.fence}" for run in model.all_runs if not run.is_gone and model.jobs[run.job_id] in mine})
        for registry, status in ((rq_keys.canceled, "canceled"), (rq_keys.finished, "finished")):
            pipe.zrange(registry(queue), 0, -1)
            expect({job.id for job in mine if job.status == status})
        for need in NEEDS:
            pipe.zrange(keys.held(queue, need), 0, -1)
            expect(model.held(queue, need))
    for need in NEEDS:
        pipe.zrange(keys.needs(need), 0, -1)
        expect(model.index(need))
    for worker, line in model.lines.items():
        pipe.hget(rq_keys.worker(worker), "ahead")
        expect(_Holds({f"{run.job_id}:{run.fence}" for run in line if model.jobs[run.job_id].fence == run.fence}))
    pipe.zrange(keys.holds, 0, -1)
    expect({job.id for job in model.jobs.values() if job.until_ms is not None})
    pipe.ttl(keys.held_pairs)
    expect(ENDS if model.pairs else -2)
    found = pipe.execute()
    for (number, what), value in zip(expected, found, strict=True):
        plain = [each and each.decode() for each in value] if isinstance(value, list) else value
        found_ones = set(plain) if isinstance(what, set) else plain
        assert found_ones == what, f"answer {number} is {found_ones}, and not {what}"
