"""``on_stopped`` is called once, never in the worker itself, and can do the worker no harm."""

import subprocess
import sys
from typing import Any

import pytest
import rq
from rq.command import send_stop_job_command

import notify
from notify import ServerUnreachableError
from notify.testing import PrivateServer, wait_until
from tests.support.fenced_jobs import write_at_the_end
from tests.support.sample_jobs import add, count_failure, count_success
from tests.support.stopped_jobs import (
    die_when_stopped,
    ended_by_sigterm,
    exit_when_stopped,
    fail_on_flag,
    fail_when_stopped,
    hang_on_when_stopped,
    hang_when_stopped,
    interrupted,
    killed,
    leave_when_stopped,
    note_where,
    return_on_flag,
)
from tests.workers.conftest import SAMPLE, Effects, StartWorkers, claim_next, is_alive
from workers import Job, Outcome, Pool, Queue, Worker
from workers.horse.channel import Reply, Task
from workers.horse.serving import Death

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12: some fork in this process

JOBS = "tests.support.stopped_jobs"


@pytest.fixture
def workers(start_workers: StartWorkers) -> Pool:
    return start_workers(modules=(SAMPLE, JOBS))


def stop(job: Job, effects: Effects) -> Outcome:
    """Stop a job that runs, and wait until that is recorded."""
    effects.wait_for("x:begun")
    outcome = job.cancel("enough")
    assert outcome is not None
    assert outcome.status == "stopped"
    wait_until(lambda: job.id not in Queue(job.origin, connection=job.connection).started_job_registry, timeout_s=10, what="its end")
    assert job.outcome == outcome
    return outcome


@pytest.mark.any_server
@pytest.mark.parametrize("rare", [{}, {"on_success": rq.Callback(count_success), "on_failure": rq.Callback(count_failure)}])
@pytest.mark.parametrize("function", [return_on_flag, fail_on_flag, interrupted])
def test_a_stopped_job_that_leaves_by_itself_is_called_back_in_its_own_process(
    queue: Queue, workers: Pool, effects: Effects, function: Any, rare: Any
) -> None:
    stop(queue.enqueue(function, "x", on_stopped=rq.Callback(note_where), **rare), effects)
    assert (effects["on_stopped"], effects["on_stopped:same"]) == (1, 1)
    assert effects["on_stopped:pid"] == effects["x:pid"]
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    wait_until(lambda: not is_alive(effects["x:pid"]), what="the end of a process that was stopped in the middle")
    assert (effects["on_success"], effects["on_failure"], effects["on_stopped"]) == (0, 0, 1)


@pytest.mark.any_server
@pytest.mark.parametrize("function", [killed, ended_by_sigterm])
def test_a_job_whose_process_was_killed_is_called_back_in_a_new_one(queue: Queue, workers: Pool, effects: Effects, function: Any) -> None:
    stop(queue.enqueue(function, "x", on_stopped=rq.Callback(note_where)), effects)
    assert (effects["on_stopped"], effects["on_stopped:same"]) == (1, 0)
    assert effects["on_stopped:pid"] not in (0, effects["x:pid"], *(process.pid for process in workers.processes))
    assert queue.enqueue(add).wait(10) == Outcome("finished")


@pytest.mark.any_server
@pytest.mark.parametrize("function", [interrupted, killed])
@pytest.mark.parametrize("callback", [fail_when_stopped, exit_when_stopped, leave_when_stopped, die_when_stopped])
def test_a_callback_that_fails_or_dies_leaves_the_job_stopped_and_the_worker_alive(
    queue: Queue, workers: Pool, effects: Effects, function: Any, callback: Any
) -> None:
    stop(queue.enqueue(function, "x", on_stopped=rq.Callback(callback)), effects)
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert effects["on_stopped"] == 1
    assert [process.poll() for process in workers.processes] == [None]


@pytest.mark.any_server
@pytest.mark.parametrize(("callback", "overdue"), [(hang_when_stopped, 0), (hang_on_when_stopped, 1)])
def test_a_callback_that_takes_too_long_is_ended(queue: Queue, workers: Pool, effects: Effects, callback: Any, overdue: int) -> None:
    stop(queue.enqueue(killed, "x", on_stopped=rq.Callback(callback, timeout=1)), effects)
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert (effects["on_stopped"], effects["on_stopped:overdue"]) == (1, overdue)
    assert not is_alive(effects["on_stopped:pid"])


def test_a_callback_of_a_stopped_job_may_write_as_little_as_the_job(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    start_workers(modules=(SAMPLE, JOBS, "tests.support.fenced_jobs"))
    stop(queue.enqueue(interrupted, "x", on_stopped=rq.Callback(write_at_the_end)), effects)
    assert (effects["x:written"], effects["x:refused"], dict(bus.state("s"))) == (0, 1, {})


class Horse:
    """A horse that records the tasks it is given."""

    is_lost, is_doomed, pid = False, False, 0

    def __init__(self, end: Reply | Death) -> None:
        self.end, self.given = end, list[Task]()

    def give(self, task: Task) -> None:
        self.given.append(task)

    def take_back(self) -> int:
        return 0

    def ring_always(self, value: bool) -> None: ...

    def wait(self, timeout_s: float) -> Reply | Death:
        return self.end

    def close(self) -> None:
        pass


def test_an_end_that_is_recorded_at_the_second_attempt_calls_back_once(
    bus: notify.Bus, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is away after the callback was called and before the end is recorded."""
    job = queue.enqueue(killed, "x", on_stopped=rq.Callback(note_where))
    horse, failures = Horse(Reply()), []
    monkeypatch.setattr("workers.worker.parts.Horse", lambda *_, **__: horse)
    worker = Worker(["work"], connection=bus.redis, modules=[JOBS])
    record = worker.handle_job_failure

    def fail_once(*args: Any, **kwargs: Any) -> None:
        failures.append(1)
        if len(failures) == 1:
            raise ServerUnreachableError("gone for a moment")
        record(*args, **kwargs)

    monkeypatch.setattr(worker, "handle_job_failure", fail_once)
    claim = claim_next(bus)
    worker._current_run.take(claim)
    job.cancel("enough")
    worker._stopper.obey_stop(job.id)
    worker._loop.retry_while_away(lambda: worker._recorder.stopped(job, queue))
    assert (len(failures), [task.is_stopped for task in horse.given]) == (2, [True])
    assert job.outcome is not None
    assert job.outcome.reason == "enough"
    worker._current_run.release()
    worker.teardown()


@pytest.mark.any_server
def test_plain_rq_calls_back_in_the_worker_itself_which_may_not_survive_it(bus: notify.Bus, server: PrivateServer) -> None:
    """The twin: the callback ends the process that it is called in."""
    plain = rq.Queue("plain", connection=bus.redis, serializer="json")
    job = plain.enqueue("time.sleep", 20, on_stopped=rq.Callback(f"{JOBS}.leave_when_stopped"))
    work = "import rq, redis, sys; rq.Worker(['plain'], connection=redis.Redis.from_url(sys.argv[1]), serializer='json').work()"
    worker = subprocess.Popen([sys.executable, "-c", work, server.url], start_new_session=True)  # RQ kills groups
    try:
        wait_until(lambda: job.get_status() == "started" and bus.redis.pubsub_channels("rq:pubsub:*"), timeout_s=10)
        send_stop_job_command(bus.redis, job.id, serializer="json")
        assert worker.wait(10) == 3
    finally:
        worker.kill()
        worker.wait()
