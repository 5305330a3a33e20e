"""Which queues have jobs that need a service: who depends on whom."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import redis

from notify.server import Client
from workers import rq_keys

__all__ = ["NeedCount", "need_counts"]

SAMPLE: Final = 20
"""Jobs of a need whose queues are read: more would seldom name another one."""


class NeedCount(msgspec.Struct, frozen=True):
    """The waiting jobs that have a need.

    Args:
        need: the name of a service, or ``any <capability>``.
        jobs: how many jobs wait that have it.
        queues: the queues of some of them.
    """

    need: str
    jobs: int
    queues: tuple[str, ...]


def need_counts(connection: redis.Redis, needs: Sequence[str]) -> list[NeedCount]:
    """Count the waiting jobs of each need; those that no job has are left out. It takes three round trips.

    Args:
        connection: ``bus.redis``.
        needs: names of services, and ``any <capability>``.

    Raises:
        ServerError: Redis did not answer, or refused.
    """
    client = Client.of(connection)
    keys = client.own_keys
    with client.translating("counting the jobs that need a service"), client.pipeline(transaction=False) as pipe:
        for need in needs:
            pipe.zcard(keys.needs(need))
            pipe.zrange(keys.needs(need), 0, SAMPLE - 1)
        answers = pipe.execute(raise_on_error=False)
        rows = zip(needs, answers[::2], answers[1::2], strict=True)
        sampled = [(need, size, ids) for need, size, ids in rows if isinstance(size, int) and size and isinstance(ids, list)]
        for _, _, ids in sampled:
            for job_id in ids:
                pipe.hget(rq_keys.job(job_id.decode(errors="backslashreplace")), "origin")
        origins: list[Any] = pipe.execute(raise_on_error=False)
    found = []
    for need, size, ids in sampled:
        own, origins = origins[: len(ids)], origins[len(ids) :]
        queues = sorted({origin.decode(errors="replace") for origin in own if isinstance(origin, bytes)})
        found.append(NeedCount(need, size, tuple(queues)))
    return found
