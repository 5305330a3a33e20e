"""The commands that the server carries out for one job from its claim to its end, inside scripts too."""

from collections.abc import Callable
from typing import Any

import pytest

import notify
from notify.testing import PrivateServer, wait_until
from tests.support.batch_jobs import begin
from tests.workers.conftest import ROOT  # noqa: F401  # the jobs are found from there
from workers import Pool, Queue, WorkerOptions, rq_keys

JOBS = 1_000
OF_THE_JOB = 3
"""What the job itself sends: it notes its beginning."""
SCRIPTS = ("cmdstat_evalsha", "cmdstat_eval")


def carried_out(bus: notify.Bus) -> int:
    stats: Any = bus.redis.info("commandstats")
    return sum(each["calls"] for name, each in stats.items() if name not in SCRIPTS)


@pytest.mark.any_server
@pytest.mark.parametrize(("window", "most"), [(32, 14), (1, 33)], ids=["in a batch", "alone"])
def test_a_short_job_costs_so_many_commands(
    own_server: PrivateServer, connect_to: Callable[..., notify.Bus], window: int, most: int
) -> None:
    """``tests/test_script_costs.py`` has the exact numbers. On a busy machine some of these jobs take 20 ms, and are announced."""
    bus = connect_to(own_server)
    queue, finished = Queue("work", connection=bus.redis), rq_keys.finished("work")
    options = WorkerOptions(settings=bus.settings, queues=("work",), modules=(begin.__module__,), window=window)
    queue.enqueue_many([Queue.prepare_data(begin) for _ in range(JOBS + 100)])
    with Pool(options, size=1):
        wait_until(lambda: int(bus.redis.zcard(finished)) >= 50, timeout_s=30)
        before, done = carried_out(bus), int(bus.redis.zcard(finished))
        looks = 1
        while (now := int(bus.redis.zcard(finished))) < done + JOBS:
            looks += 1
            bus.redis.echo("wait")  # one more command for each look
        cost = carried_out(bus) - before - 2 * looks
    assert cost / (now - done) <= most + OF_THE_JOB
