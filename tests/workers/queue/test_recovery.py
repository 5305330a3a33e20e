"""Jobs while the server breaks: what was accepted is not lost."""

from collections.abc import Callable

import notify
from notify.testing import PrivateServer
from tests.support.sample_jobs import add
from tests.workers.test_main import run
from workers import Outcome, Queue


def test_jobs_that_were_accepted_are_done_although_the_server_was_killed(
    own_server: PrivateServer, connect_to: Callable[..., notify.Bus]
) -> None:
    """Experiment 10, for jobs: it is restarted from its append-only file, and has forgotten the scripts."""
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
