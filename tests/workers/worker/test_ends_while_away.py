"""Jobs that end while the server is away: their own end is recorded, once, when it is back, and callbacks are called once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rq import Callback, Retry

import notify
from notify.testing import PrivateServer, wait_until
from tests.support import failing_jobs
from tests.support.failing_jobs import fail_later, on_failure, on_success, retry_later, succeed_later
from workers import Job, Outcome, Pool, Queue, WorkerOptions

pytestmark = pytest.mark.any_server

CALLBACKS: dict[str, Any] = {"on_success": Callback(on_success), "on_failure": Callback(on_failure)}
ERROR = "RuntimeError: the true error"

ENDS: dict[str, tuple[Callable[..., Any], dict[str, Any], list[str], list[str]]] = {
    "returns": (succeed_later, {}, ["finished"], []),
    "returns, with callbacks": (succeed_later, CALLBACKS, ["finished"], ["on_success"]),
    "raises": (fail_later, {}, ["failed"], []),
    "raises, with callbacks": (fail_later, CALLBACKS, ["failed"], ["on_failure"]),
    "raises and is tried again later": (
        fail_later,
        {"retry": Retry(max=1, interval=60), **CALLBACKS},
        ["retried", "scheduled"],
        ["on_failure"],
    ),
    "returns Retry": (retry_later, CALLBACKS, ["retried", "enqueued", "started", "finished"], ["on_success"]),
}


def events_of(bus: notify.Bus, job: Job) -> list[str]:
    with bus.subscribe("job.work", since="start") as events:
        found: list[Any] = list(iter(lambda: events.get(0.05), None))
    return [event.contents["status"] for event in found if event.contents["job"] == job.id]


@pytest.mark.parametrize("end", ENDS)
def test_a_job_that_ends_while_the_server_is_away(own_server: PrivateServer, tmp_path: Path, end: str) -> None:
    function, options, events, callbacks = ENDS[end]
    with notify.connect(own_server.url) as bus:
        job = Queue("work", connection=bus.redis).enqueue(function, str(tmp_path), **options)
        worker = WorkerOptions(settings=bus.settings, queues=("work",), modules=(failing_jobs.__name__,), log_level="ERROR")
        with Pool(worker, size=1):
            wait_until((tmp_path / "begun").exists, timeout_s=15)
            own_server.kill()
            (tmp_path / "go").touch()
            wait_until((tmp_path / "done").exists)
            own_server.restart()
            wait_until(lambda: events_of(bus, job)[2:] == events, timeout_s=20, what=f"{events}, not {events_of(bus, job)}")
        assert events_of(bus, job)[2:] == events
        assert {name: (tmp_path / name).exists() and (tmp_path / name).read_text() for name in CALLBACKS} == {
            name: "x" if name in callbacks else False for name in CALLBACKS
        }
        if events[-1] == "finished":
            assert job.outcome == Outcome("finished")
        if events[-1] == "failed":
            assert job.outcome.reason == ERROR
        if "on_failure" in callbacks:
            assert (tmp_path / "error").read_text() == ERROR
