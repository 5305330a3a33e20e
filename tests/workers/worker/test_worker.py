"""Workers: how they are made, what they refuse to be made of, and which queues they work on."""

import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import rq

import notify
from notify.server import ANSWER_S
from tests.support.claims_here import STOPPED_CHECK, a_claim
from tests.support.sample_jobs import (
    add,
)
from tests.workers.conftest import ROOT, SAMPLE, Effects, StartWorkers
from workers import Job, JobDefinitionError, ModuleLoadError, Outcome, Queue, Worker

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12: some fork in this process


def test_a_worker_needs_a_connection() -> None:
    with pytest.raises(JobDefinitionError, match=r"connection=bus\.redis"):
        Worker(["work"])


def test_a_worker_takes_the_connection_of_its_queues(bus: notify.Bus, queue: Queue) -> None:
    for given in (queue, [queue], ("other", queue)):
        idle = Worker(given)
        assert idle.connection.connection_pool.connection_kwargs["path"] == bus.redis.connection_pool.connection_kwargs["path"]
        idle.teardown()


def test_a_worker_can_work_again(bus: notify.Bus, queue: Queue, worker: Worker) -> None:
    assert not worker.work(burst=True)
    for _ in range(2):
        job = queue.enqueue(add, "x")
        assert worker.work(burst=True)
        assert (job.outcome, job.return_value()) == (Outcome("finished"), "x")
        assert worker.refresh() is None
        assert worker.death_date is not None
    assert (worker.successful_job_count, bus.redis.zcard("notify:leases")) == (1, 0)


def test_a_worker_that_works_again_waits_at_no_file_of_before(queue: Queue, worker: Worker) -> None:
    worker.work(burst=True)
    with ExitStack() as stack:
        ends = [stack.enter_context(end) for _ in range(20) for end in socket.socketpair()]  # they get the numbers of what it closed
        for end in ends:
            end.send(b"!")
        job = queue.enqueue(add)
        assert worker.work(burst=True)
    assert job.outcome == Outcome("finished")


def test_a_kill_horse_that_a_user_replaced_is_called_to_stop_a_job(bus: notify.Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with RQ, whose command to stop a job calls it."""
    worker, killed = Worker(["work"], connection=bus.redis), []
    monkeypatch.setattr(worker, "kill_horse", lambda *signum: killed.append(signum))
    run = worker._current_run.take(a_claim())
    worker._stopper.stop_run(run, STOPPED_CHECK)
    assert killed == [()]
    worker._current_run.release()
    worker.teardown()


def test_a_worker_takes_no_queue_of_plain_rq(bus: notify.Bus) -> None:
    with pytest.raises(JobDefinitionError, match=r"is not a workers\.Queue: pass a workers\.Queue, or the name"):
        Worker([rq.Queue("work", connection=bus.redis)])


def test_a_worker_takes_jobs_of_no_other_class_than_ours(bus: notify.Bus) -> None:
    with pytest.raises(JobDefinitionError, match=r"leave job_class out, or derive it from workers\.Job"):
        Worker(["work"], connection=bus.redis, job_class=type("Theirs", (rq.job.Job,), {}))


def test_a_worker_says_which_job_class_it_cannot_find(bus: notify.Bus) -> None:
    with pytest.raises(JobDefinitionError, match=r"job_class 'nowhere\.Job' cannot be imported"):
        Worker(["work"], connection=bus.redis, job_class="nowhere.Job")


@pytest.mark.parametrize("named", [rq.job.Job, "rq.job.Job"])
def test_a_worker_takes_the_job_class_that_rqs_programs_name_for_none(bus: notify.Bus, queue: Queue, named: object) -> None:
    job = queue.enqueue(add, "x")
    assert Worker(["work"], connection=bus.redis, modules=[SAMPLE], job_class=named).work(burst=True)
    assert job.outcome == Outcome("finished")


def test_a_worker_needs_a_queue(bus: notify.Bus) -> None:
    idle = Worker([], connection=bus.redis)
    with pytest.raises(JobDefinitionError, match="at least one queue"):
        idle.work(burst=True)
    idle.teardown()


def test_a_worker_names_the_module_that_it_cannot_load(bus: notify.Bus) -> None:
    with pytest.raises(ModuleLoadError, match="nowhere"):
        Worker(["work"], connection=bus.redis, modules=["nowhere"])


@pytest.mark.any_server
@pytest.mark.parametrize(("named", "status"), [(f" {SAMPLE}, workers.storage", "finished"), ("", "failed")])
def test_rqs_command_runs_our_worker_on_the_modules_that_the_environment_names(
    bus: notify.Bus, queue: Queue, effects: Effects, named: str, status: str
) -> None:
    job = queue.enqueue(add)
    command = [
        str(Path(sys.executable).with_name("rq")),
        "worker",
        "-w",
        "workers.Worker",
        "--burst",
        "--quiet",
        "-u",
        str(bus.settings.url),
        "work",
    ]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "NOTIFY_IMPORT": named}
    subprocess.run(command, env=environ, cwd=ROOT, timeout=60, check=True, capture_output=True)
    assert (job.outcome and job.outcome.status, effects["added"]) == (status, int(status == "finished"))


def test_a_worker_waits_for_no_answer_longer_than_for_a_probe(bus: notify.Bus, worker: Worker) -> None:
    """RQ waits minutes for each answer, also on the connection that it was given."""
    assert bus.redis.connection_pool.connection_kwargs["socket_timeout"] == bus.settings.command_timeout_s
    assert worker.connection.connection_pool.connection_kwargs["socket_timeout"] == ANSWER_S


def test_a_worker_can_be_seen_in_the_list_of_clients(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    start_workers()
    queue.enqueue(add).wait(10)
    (name,) = [worker.name for worker in rq.Worker.all(connection=bus.redis)]
    clients: Any = bus.redis.client_list()
    assert f"notify:{name}" in {client["name"] for client in clients}


def test_queues_are_worked_on_in_the_order_of_their_priority(bus: notify.Bus, start_workers: StartWorkers, effects: Effects) -> None:
    low, high = Queue("low", connection=bus.redis), Queue("high", connection=bus.redis)
    first, second = low.enqueue(add, "low"), high.enqueue(add, "high")
    start_workers(queues=("high", "low"), burst=True)
    first.wait(10)
    started = [Job.fetch(job.id, connection=bus.redis).started_at for job in (second, first)]
    assert started == sorted(started, key=str)


def test_a_burst_worker_ends_when_the_queues_are_empty(queue: Queue, start_workers: StartWorkers) -> None:
    jobs = [queue.enqueue(add) for _ in range(3)]
    (process,) = start_workers(burst=True).processes
    assert process.wait(10) == 0
    assert [job.outcome for job in jobs] == [Outcome("finished")] * 3


def test_a_burst_with_a_scheduler_runs_the_jobs_that_are_due(bus: notify.Bus, server: Any, queue: Queue, effects: Effects) -> None:
    scheduled = queue.enqueue_in(timedelta(seconds=-1), add)
    program = (
        "import sys, notify, workers\n"
        "with notify.connect(sys.argv[1]) as bus:\n"
        f"    workers.Worker(['work'], connection=bus.redis, modules=['{SAMPLE}']).work(burst=True, with_scheduler=True)"
    )
    done = subprocess.run([sys.executable, "-c", program, server.url], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert (scheduled.outcome, effects["added"]) == (Outcome("finished"), 1)
