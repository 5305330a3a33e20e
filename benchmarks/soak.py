"""Memory of workers in the course of many jobs: ``python -m benchmarks.soak``."""

import statistics
import time
from typing import Final

import notify
from benchmarks.process_memory import pss_mib
from benchmarks.server import loopback_server
from benchmarks.worker_memory import SETTLE_S, running, wait_for
from workers import Queue, queues
from workers.rq_keys import queue as queue_key

__all__ = ["memory_over_many_jobs"]

MANY: Final = 200_000
BATCH: Final = 10_000
ALLOWED_MIB: Final = 2.0
"""How much the second half of the jobs may add: less than 20 bytes a job."""


def memory_over_many_jobs(bus: notify.Bus) -> str:
    """PSS of ``notify worker -n 2`` in the course of 200,000 jobs. It ends with an error if the second half adds to it."""
    with running(bus, "notify worker", 2) as pid:
        queue, seen = Queue("bench-throughput", connection=bus.redis), []
        for _ in range(MANY // BATCH):
            queue.enqueue_many([queue.prepare_data("benchmarks.peer_notify.nothing", (0,)) for _ in range(BATCH)])
            wait_for(lambda: not bus.redis.llen(queue_key(queue.name)), "notify worker")
            time.sleep(SETTLE_S)
            seen.append(pss_mib(pid))
    assert not any(each.failed for each in queues(bus.redis)), "jobs have failed"
    half = len(seen) // 2
    grown = statistics.median(seen[-3:]) - statistics.median(seen[half - 1 : half + 2])
    assert grown < ALLOWED_MIB, f"{grown:.1f} MiB more over the second half of {MANY} jobs: {seen}"
    return f"{'PSS over 200,000 jobs, two workers':<34} " + ", ".join(f"{each:.0f}" for each in seen) + " MiB"


if __name__ == "__main__":
    with loopback_server() as url, notify.connect(url) as bus:
        print(memory_over_many_jobs(bus))
