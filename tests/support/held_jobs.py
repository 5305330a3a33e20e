"""Helpers for the tests of held jobs."""

from typing import Any

import notify
from notify.testing import wait_until
from tests.support.sample_jobs import add
from tests.workers.conftest import claim_next
from workers import Queue
from workers.loss.held import HeldJobs
from workers.scripts.run import Run

PATIENT: Any = {"needs": "svc", "on_loss": "hold"}


def enqueue(queue: Queue, count: int, **options: Any) -> list[str]:
    """Enqueue jobs that are held for ``svc``. Return their ids."""
    return [queue.enqueue(add, **{**PATIENT, **options}).id for _ in range(count)]


def take_all(bus: notify.Bus) -> list[str]:
    """Claim all jobs of the queue, one after the other. Return their ids."""
    taken = []
    while (claim := claim_next(bus, fence=f"f{len(taken)}")).answer == "started":
        taken.append(claim.job_id)
    return taken


def start(bus: notify.Bus, *, fence: str = "mine") -> Run:
    claim = claim_next(bus, fence=fence)
    assert claim.answer == "started"
    return claim.run


def release_and_take_all(bus: notify.Bus, holds: HeldJobs, count: int) -> list[str]:
    """Release and claim by turns, as a leader and a worker do, until ``count`` jobs came."""
    taken: list[str] = []

    def go_on() -> bool:
        holds.run()
        taken.extend(take_all(bus))
        return len(taken) >= count

    wait_until(go_on, what=f"{count} jobs; {len(taken)} came")
    return taken


def is_clean(bus: notify.Bus, queue: Queue) -> bool:
    """Whether no key shows any more that jobs were held."""
    keys = bus.keys
    known = bus.redis.exists(keys.held_pairs, keys.held("work", "svc"), keys.holds)
    return not known and not queue.deferred_job_registry.get_job_ids()
