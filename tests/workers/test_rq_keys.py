"""Our scripts write where RQ reads."""

import rq

import notify
from workers import rq_keys


def test_the_keys_are_those_of_rq(bus: notify.Bus) -> None:
    queue = rq.Queue("work", connection=bus.redis)
    assert rq_keys.queue("work") == queue.key
    assert rq_keys.canceled("work") == queue.canceled_job_registry.key
    assert rq_keys.deferred("work") == queue.deferred_job_registry.key
    assert rq_keys.scheduled("work") == queue.scheduled_job_registry.key
    assert rq_keys.job("an-id") == rq.job.Job("an-id", connection=bus.redis).key
