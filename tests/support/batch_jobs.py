"""Short jobs for batches. Each notes in Redis that it begins, in one list for all, and what the server's clock says then."""

import threading

from workers import current_bus, current_job, job

BEGUN = "rq:test:begun"
"""List: the ids of the jobs that have begun, in that order, one entry for each run."""
TIMES = "rq:test:times"
"""Hash: job id -> the server's clock in ms when its last run began."""


@job("work")
def begin(seconds: float = 0.0, _argument: str = "", size: int = 0) -> str:
    """Note the beginning, take so long, and return a text of that size."""
    client, its_id = current_bus().redis, current_job().id
    client.rpush(BEGUN, its_id)
    now_s, now_us = client.time()
    client.hset(TIMES, its_id, now_s * 1000 + now_us // 1000)
    if seconds:
        threading.Event().wait(seconds)
    return "x" * size
