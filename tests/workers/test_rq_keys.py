"""Our keys are the keys that RQ uses."""

import rq
from rq.executions import Execution, ExecutionRegistry
from rq.results import Result
from rq.scheduler import RQScheduler
from rq.suspension import WORKERS_SUSPENDED

import notify
from workers import rq_keys


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
