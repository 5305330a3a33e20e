"""``python -m workers``: one worker process, as a pool starts it."""

import os
import re
import subprocess
import sys

import msgspec
import pytest

import notify
from notify.testing import wait_until
from tests.support.sample_jobs import add
from tests.workers.conftest import SAMPLE, StartWorkers, command_line
from workers import Outcome, Queue, WorkerOptions

pytestmark = pytest.mark.any_server


def run(settings: notify.Settings, *, modules: tuple[str, ...] = (SAMPLE,)) -> subprocess.CompletedProcess[str]:
    options = WorkerOptions(settings=settings, queues=("work",), modules=modules, burst=True)
    given = f"{os.getpid()}\n{msgspec.json.encode(options).decode()}"
    return subprocess.run([sys.executable, "-m", "workers"], input=given, capture_output=True, text=True, timeout=30, check=False)


def test_a_worker_process_takes_its_options_from_its_input(bus: notify.Bus, queue: Queue) -> None:
    job = queue.enqueue(add)
    assert run(bus.settings).returncode == 0
    assert job.outcome == Outcome("finished")


def test_M11_a_worker_process_says_what_it_works_on(bus: notify.Bus, start_workers: StartWorkers) -> None:
    (worker,) = start_workers(1).processes
    wait_until(lambda: re.match("rq:worker:|notify: worker of work", command_line(worker.pid)), timeout_s=15)


def test_a_worker_process_works_in_the_namespace_of_its_settings(bus: notify.Bus, server: notify.testing.PrivateServer) -> None:
    with notify.connect(settings=msgspec.structs.replace(bus.settings, namespace="other")) as other, other.service("svc"):
        job = Queue("work", connection=other.redis).enqueue(add, needs="svc")
        assert job.outcome is None
        assert run(other.settings).returncode == 0
        assert job.outcome == Outcome("finished")


@pytest.mark.parametrize(
    ("url", "modules", "said"),
    [
        ("", ("nowhere",), "worker: cannot import 'nowhere'"),
        ("unix:///nowhere/redis.sock", (SAMPLE,), "worker: no answer from unix:///nowhere"),
    ],
)
def test_a_worker_process_that_cannot_start_says_why_in_a_line(bus: notify.Bus, url: str, modules: tuple[str, ...], said: str) -> None:
    settings = notify.Settings(url=url) if url else bus.settings
    done = run(settings, modules=modules)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(said)
