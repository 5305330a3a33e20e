"""Stops of jobs within a batch, with real processes: the one at work and one behind it that has not begun."""

from collections import Counter

import notify
from notify.testing import wait_until
from tests.support.batch_jobs import BEGUN, begin
from tests.workers.conftest import StartWorkers
from workers import Queue

ROUNDS, SIZE = 5, 8


def begun(bus: notify.Bus) -> list[str]:
    return [name.decode() for name in bus.redis.lrange(BEGUN, 0, -1)]  # type: ignore[union-attr]  # the client is synchronous


def test_a_cancel_of_the_job_at_work_and_of_one_behind_it_hits_these_two_only(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers
) -> None:
    start_workers(modules=("tests.support.batch_jobs",), window=32)
    ends: Counter[tuple[str, str]] = Counter()
    for number in range(ROUNDS):
        names = [f"job-{number}-{place}" for place in range(SIZE)]
        jobs = list(queue.enqueue_many([Queue.prepare_data(begin, [0.015], job_id=name) for name in names]))
        wait_until(lambda jobs=jobs: jobs[1].id in begun(bus))
        behind, at_work = jobs[-1], jobs[names.index(begun(bus)[-1])]
        outcomes = {"behind": behind.cancel("no more")}
        at_return = begun(bus)
        outcomes["at work"] = at_work.cancel("no more")
        others = [job for job in jobs if job not in (behind, at_work)]
        assert {outcome.status for job in others if (outcome := job.wait(10)) is not None} == {"finished"}
        assert behind.id in at_return or behind.id not in begun(bus), "it began after the cancel had returned"
        order = [name for name in begun(bus) if name in names]
        assert order == [name for name in names if name in order]
        assert set(names) - set(order) <= {behind.id}
        for which, outcome in outcomes.items():
            ends[which, outcome.status if outcome is not None else ""] += 1
    assert ends["behind", "stopped"] + ends["behind", "cancelled"] == ROUNDS, ends
    assert ends["at work", "stopped"], ends
    assert max(Counter(begun(bus)).values()) == 1
    wait_until(lambda: not queue.started_job_registry.get_job_ids(), what="the records of the runs to go")
