"""Enqueueing: calls, options and queues that are refused."""

from typing import Any

import pytest
import redis
import rq
from redis.backoff import NoBackoff
from redis.retry import Retry

import notify
from tests.support import sample_jobs
from tests.support.faults import everything
from tests.support.sample_jobs import add, unmarked
from tests.workers.conftest import Effects
from workers import JobArgumentsError, JobDefinitionError, Queue

NOTHING: Any = None


@pytest.mark.parametrize("needs", [3, [None], "two words", ""])
def test_needs_that_name_no_service_are_refused_and_nothing_is_enqueued(queue: Queue, bus: notify.Bus, needs: Any) -> None:
    with pytest.raises(JobDefinitionError, match="needs"):
        queue.enqueue(add, needs=needs)
    assert everything(bus.redis) == {}


def test_an_unknown_policy_is_refused_and_nothing_is_enqueued(queue: Queue, bus: notify.Bus) -> None:
    policy: Any = "shrug"
    with pytest.raises(JobDefinitionError, match="choose one of cancel, hold, drain, ignore"):
        queue.enqueue(add, on_loss=policy)
    assert everything(bus.redis) == {}


@pytest.mark.parametrize("function", [unmarked, len, Queue, sample_jobs, 3, NOTHING, Effects.let_go])
def test_an_unmarked_function_is_refused_with_a_remedy(queue: Queue, bus: notify.Bus, function: Any) -> None:
    with pytest.raises(JobDefinitionError, match=r"mark it with @job\('work'\)"):
        queue.enqueue(function)
    assert everything(bus.redis) == {}


@pytest.mark.parametrize("when", ["on_success", "on_failure", "on_stopped"])
def test_a_callback_that_is_not_marked_is_refused(queue: Queue, bus: notify.Bus, when: str) -> None:
    with pytest.raises(JobDefinitionError, match="unmarked"):
        queue.enqueue(add, **{when: rq.Callback(unmarked)})
    assert everything(bus.redis) == {}


@pytest.mark.parametrize(
    "options",
    [
        {"job_timeout": 0},
        {"ttl": 0},
        {"job_id": "not allowed!"},
        {"depends_on": 3},
        {"job_timeout": "soon"},
        {"unique": True},
        {"retry": 3},
    ],
)
def test_invalid_options_are_our_error_and_nothing_is_enqueued(queue: Queue, bus: notify.Bus, options: Any) -> None:
    with pytest.raises(JobDefinitionError, match="cannot be enqueued on 'work'"):
        queue.enqueue(add, **options)
    assert everything(bus.redis) == {}


@pytest.mark.parametrize(
    ("args", "kwargs", "path"),
    [
        ([1, range(3)], {}, r"args\[1\]"),
        ([{"a": [0, {object()}]}], {}, r"args\[0\]\.a\[1\]\[0\]"),
        ([], {"at": object()}, r"kwargs\.at"),
        ([], {"value": {None: "one"}}, r"kwargs\.value"),
        ([float("nan")], {}, r"args\[0\]"),
        ([2**64], {}, r"args\[0\]"),
        ([lambda: None], {}, r"args\[0\]"),
    ],
)
def test_arguments_that_json_cannot_hold_name_the_path_and_leave_nothing(
    queue: Queue, bus: notify.Bus, args: list[Any], kwargs: dict[str, Any], path: str
) -> None:
    with pytest.raises(JobArgumentsError, match=path):
        queue.enqueue(add, *args, **kwargs)
    assert everything(bus.redis) == {}


def test_meta_that_json_cannot_hold_leaves_nothing(queue: Queue, bus: notify.Bus) -> None:
    with pytest.raises(JobArgumentsError, match=r"meta.* at at,"):
        queue.enqueue(add, meta={"at": object()})
    assert everything(bus.redis) == {}


def test_a_queue_without_a_connection_is_refused() -> None:
    with pytest.raises(JobDefinitionError, match=r"Queue\('work', connection=bus\.redis\)"):
        Queue("work")


def test_a_foreign_job_class_is_refused(bus: notify.Bus) -> None:
    with pytest.raises(JobDefinitionError, match=r"workers\.Job"):
        Queue("work", connection=bus.redis, job_class=rq.job.Job).enqueue(add)


def test_a_server_that_does_not_answer_is_our_error(bus: notify.Bus) -> None:
    nowhere = redis.Redis(unix_socket_path="/nowhere/redis.sock", retry=Retry(NoBackoff(), 0))
    with pytest.raises(notify.ServerUnreachableError, match="enqueueing on 'work'"):
        Queue("work", connection=nowhere).enqueue(add)


@pytest.mark.parametrize(("args", "kwargs"), [((1, 2), {}), ((), {"need": "svc"})])
def test_arguments_that_the_function_does_not_accept_are_refused_at_enqueue(
    queue: Queue, bus: notify.Bus, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    with pytest.raises(JobArgumentsError, match="add does not accept these arguments"):
        queue.enqueue(add, *args, **kwargs)
    assert everything(bus.redis) == {}
