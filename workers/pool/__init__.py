"""Pools of worker processes on this machine: started, watched, started again, stopped together.

``notify worker`` and programs use it. The workers of a pool are forks of one process that has imported what a worker needs, so they share
the memory of that.
Nothing here claims or runs a job: each process runs a `workers.worker.Worker`.
"""

from workers.pool.exposing import serving_pool_metrics
from workers.pool.fork_server import WorkerForkServer
from workers.pool.main import run_worker
from workers.pool.options import WorkerOptions
from workers.pool.parent import PoolPlan, become_parent
from workers.pool.pool import Pool
from workers.pool.restarts import MAX_RESTARTS, WINDOW_S
from workers.pool.supervision import CUT, count_of, supervise

__all__ = [
    "CUT",
    "MAX_RESTARTS",
    "WINDOW_S",
    "Pool",
    "PoolPlan",
    "WorkerForkServer",
    "WorkerOptions",
    "become_parent",
    "count_of",
    "run_worker",
    "serving_pool_metrics",
    "supervise",
]
