"""Our keys are the keys that RQ uses."""

from importlib import import_module

import pytest
import rq
from rq.executions import Execution, ExecutionRegistry
from rq.results import Result
from rq.scheduler import RQScheduler
from rq.suspension import WORKERS_SUSPENDED

import notify
from workers import rq_keys
from workers.rq import IS_RQ_3


def test_the_keys_are_those_of_rq(bus: notify.Bus) -> None:
    queue = rq.Queue("work", connection=bus.redis)
    assert rq_keys.queue("work") == queue.key
    assert rq_keys.started("work") == queue.started_job_registry.key
    assert rq_keys.finished("work") == queue.finished_job_registry.key
    assert rq_keys.canceled("work") == queue.canceled_job_registry.key
    assert rq_keys.deferred("work") == queue.deferred_job_registry.key
    assert rq_keys.scheduled("work") == queue.scheduled_job_registry.key
    assert rq_keys.scheduler_lock("work") == RQScheduler.get_locking_key("work")


def test_the_keys_of_a_job_are_those_of_rq(bus: notify.Bus) -> None:
    job = rq.job.Job("an-id", connection=bus.redis)
    assert rq_keys.job("an-id") == job.key
    assert rq_keys.dependents("an-id") == job.dependents_key
    assert rq_keys.dependencies("an-id") == job.dependencies_key
    assert rq_keys.execution("an-id:run") == Execution("run", "an-id", bus.redis).key
    assert rq_keys.executions("an-id") == ExecutionRegistry("an-id", bus.redis).key
    assert rq_keys.results("an-id") == Result.get_key("an-id")


def test_the_keys_of_a_worker_are_those_of_rq(bus: notify.Bus) -> None:
    worker = rq.Worker(["work"], name="w", connection=bus.redis.clone(name="w"))
    assert rq_keys.worker("w") == worker.key
    assert rq_keys.suspended() == WORKERS_SUSPENDED
    worker.connection.close()


@pytest.mark.skipif(not IS_RQ_3, reason="RQ 2.12 has none of these keys")
def test_the_keys_that_came_with_rq_3_are_those_of_rq(bus: notify.Bus) -> None:
    limit = import_module("rq.rate_limit").RateLimitRegistry("a", bus.redis)
    assert (rq_keys.RATE_LIMITS, rq_keys.rate_limited("a")) == (limit.rl_keys_key, limit.rate_limited_key)
    assert rq_keys.ready("work") == import_module("rq.registry").ReadyJobRegistry("work", connection=bus.redis).key
    assert rq_keys.worker_executions("w") == import_module("rq.executions").WORKER_EXECUTIONS_KEY_TEMPLATE.format("w")
