"""A crash of the server: accepted jobs are not lost."""

from collections.abc import Callable

import notify
from notify.testing import PrivateServer
from tests.support.sample_jobs import add
from tests.workers.test_main import run
from workers import Outcome, Queue


def test_accepted_jobs_run_after_the_server_was_killed(own_server: PrivateServer, connect_to: Callable[..., notify.Bus]) -> None:
    """Experiment 10, for jobs: the server restarts from its append-only file, without its script cache."""
    bus = connect_to(own_server)
    queue = Queue("work", connection=bus.redis)
    jobs = [queue.enqueue(add) for _ in range(20)]
    own_server.kill()
    own_server.restart()
    bus.redis.connection_pool.disconnect()
    jobs.append(queue.enqueue(add))
    assert queue.job_ids == [job.id for job in jobs]
    assert run(bus.settings).returncode == 0
    assert [job.outcome for job in jobs] == [Outcome("finished")] * 21
