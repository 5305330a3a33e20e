"""Times and counts that Redis or the operating system could not hold are refused before anything is written."""

from datetime import timedelta
from typing import Any

import pytest
import rq

import notify
from tests.support.faults import everything
from tests.support.sample_jobs import add
from workers import JobDefinitionError, Queue
from workers.scripts import ClaimScripts

HUGE = (10**17, 10**400, float("inf"), float("nan"), -7)


@pytest.mark.parametrize("value", HUGE)
@pytest.mark.parametrize("option", ["result_ttl", "failure_ttl", "ttl", "job_timeout"])
def test_an_absurd_time_is_refused_and_nothing_is_written(queue: Queue, bus: notify.Bus, option: str, value: Any) -> None:
    with pytest.raises(JobDefinitionError, match="add"):
        queue.enqueue(add, **{option: value})
    assert everything(bus.redis) == {}


@pytest.mark.parametrize(
    "options",
    [{"retry": rq.Retry(max=10**17)}, {"retry": rq.Retry(max=1, interval=10**17)}, {"repeat": rq.Repeat(times=1, interval=10**400)}],
)
def test_absurd_retries_and_repeats_are_refused(queue: Queue, bus: notify.Bus, options: dict[str, Any]) -> None:
    with pytest.raises(JobDefinitionError, match="give"):
        queue.enqueue(add, **options)
    assert everything(bus.redis) == {}


def test_a_delay_beyond_all_calendars_is_refused(queue: Queue, bus: notify.Bus) -> None:
    with pytest.raises(JobDefinitionError, match="cannot be enqueued"):
        queue.enqueue_in(timedelta.max, add)
    assert everything(bus.redis) == {}


@pytest.mark.parametrize("timeout", [10**17, "soon", -7])
def test_a_queue_with_an_absurd_default_timeout_is_refused(bus: notify.Bus, timeout: Any) -> None:
    with pytest.raises(JobDefinitionError, match="work"):
        Queue("work", connection=bus.redis, default_timeout=timeout)


def test_a_worker_that_would_keep_results_for_aeons_is_refused(bus: notify.Bus) -> None:
    with pytest.raises(JobDefinitionError, match="results are to be kept"):
        ClaimScripts(bus.redis, "w", heartbeat_s=30, idle_s=480, result_ttl_s=10**17)
