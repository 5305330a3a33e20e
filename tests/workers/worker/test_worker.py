"""Worker processes: what they run, what they refuse, how they end."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rq
from rq.command import send_kill_horse_command, send_shutdown_command

import notify
from notify.testing import wait_until
from tests.support.sample_jobs import (
    add,
    add_with_svc,
    count_stop,
    count_success,
    hold,
    kill_yourself,
    raise_on_stop,
    start_a_program,
    tick,
)
from tests.workers.conftest import ROOT, SAMPLE, Effects, StartWorkers, is_alive, mishaps, next_mishap
from workers import Job, JobDefinitionError, ModuleLoadError, Outcome, Queue, Worker
from workers.jobs.call import JsonSerializer
from workers.loss.watcher import LossWatcher

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12: some fork in this process


@pytest.fixture
def worker(bus: notify.Bus) -> Iterator[Worker]:
    """A worker in this process, which does not work yet."""
    idle = Worker(["work"], connection=bus.redis, modules=[SAMPLE])
    yield idle
    idle.teardown()


def forge(bus: notify.Bus, job_id: str, data: bytes | str, **fields: str) -> Job:
    """Write a job into Redis by hand."""
    whole: dict[str, Any] = {"status": "queued", "origin": "work", "created_at": "2026-01-01T00:00:00Z", "timeout": "10", **fields}
    bus.redis.hset(f"rq:job:{job_id}", mapping={**whole, "data": data})
    bus.redis.rpush("rq:queue:work", job_id)
    return Job(job_id, connection=bus.redis)


def a_call(function: str) -> str:
    return f'["{function}",null,[],{{}}]'


def error_of(job: Job) -> str:
    """The last line of the traceback of a failed job."""
    result = job.latest_result()
    return "" if result is None else (result.exc_string or "").strip().splitlines()[-1]


def test_a_worker_needs_a_connection() -> None:
    with pytest.raises(JobDefinitionError, match=r"connection=bus\.redis"):
        Worker(["work"])


def test_a_worker_takes_the_connection_of_its_queues(bus: notify.Bus, queue: Queue) -> None:
    for given in (queue, [queue], ("other", queue)):
        idle = Worker(given)
        assert idle.connection.connection_pool.connection_kwargs["path"] == bus.redis.connection_pool.connection_kwargs["path"]
        idle.teardown()


def test_a_worker_can_be_told_to_work_again(bus: notify.Bus, queue: Queue, worker: Worker) -> None:
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


def test_a_worker_takes_no_queue_of_plain_rq(bus: notify.Bus) -> None:
    with pytest.raises(JobDefinitionError, match=r"is no workers\.Queue: make it one, or give its name"):
        Worker([rq.Queue("work", connection=bus.redis)])


def test_a_worker_takes_jobs_of_no_other_class_than_ours(bus: notify.Bus) -> None:
    with pytest.raises(JobDefinitionError, match=r"leave job_class out, or derive it from workers\.Job"):
        Worker(["work"], connection=bus.redis, job_class=type("Theirs", (rq.job.Job,), {}))


def test_a_worker_says_which_job_class_it_cannot_find(bus: notify.Bus) -> None:
    with pytest.raises(JobDefinitionError, match=r"no job_class 'nowhere\.Job'"):
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
def test_rqs_own_command_runs_our_worker_on_the_modules_that_the_environment_names(
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


def test_a_worker_leaves_the_timeouts_of_the_connection_alone(bus: notify.Bus, worker: Worker) -> None:
    assert bus.redis.connection_pool.connection_kwargs["socket_timeout"] == bus.settings.command_timeout_s
    assert worker.connection.connection_pool.connection_kwargs["socket_timeout"] > 60


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


def test_only_loaded_functions_are_run_and_the_worker_lives_on(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    functions = ["os.getcwd", "workers.storage.store", f"{SAMPLE}.unmarked", f"{SAMPLE}.EFFECTS", "add", "", "a b"]
    refused = [forge(bus, f"forged-{number}", a_call(function)) for number, function in enumerate(functions)]
    start_workers()
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    for job in refused:
        assert job.outcome.status == "failed"
        assert error_of(job).startswith(f"workers.errors.JobRefusedError: job {job.id} calls ")


def test_a_path_enqueued_by_plain_rq_is_refused(bus: notify.Bus, start_workers: StartWorkers) -> None:
    plain = rq.Queue("work", connection=bus.redis, serializer="json").enqueue("os.getcwd")
    start_workers()
    refused = Job.fetch(plain.id, connection=bus.redis)
    assert refused.wait(10).status == "failed"
    assert "JobRefusedError" in error_of(refused)


def test_a_loaded_function_enqueued_by_plain_rq_is_run(bus: notify.Bus, start_workers: StartWorkers) -> None:
    plain = rq.Queue("work", connection=bus.redis, serializer="json").enqueue(f"{SAMPLE}.add", "x")
    start_workers()
    assert Job.fetch(plain.id, connection=bus.redis).wait(10) == Outcome("finished")


def test_a_worker_lives_on_whatever_a_stranger_writes(bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    good = a_call(f"{SAMPLE}.add")
    failing = {
        "a pickle": forge(bus, "f1", b"\x80\x04\x8c\x02os\x8c\x06getcwd\x93)R."),
        "an object": forge(bus, "f2", '{"a":1}'),
        "a method": forge(bus, "f3", f'["{SAMPLE}.add","x",[],{{}}]'),
        "arguments that are none": forge(bus, "f4", f'["{SAMPLE}.add",null,3,{{}}]'),
    }
    for number, fields in enumerate(
        [{"needs": "[]"}, {"needs": "{"}, {"on_loss": "x"}, {"status": "odd"}, {"timeout": "x"}, {"retries_left": "x"}]
    ):
        forge(bus, f"p{number}", good, **fields)
    (pool_process,) = start_workers().processes
    assert queue.enqueue(add, "good").wait(10) == Outcome("finished")
    assert {what: job.outcome.status for what, job in failing.items()} == dict.fromkeys(failing, "failed")
    assert (effects["added"], effects["good"], pool_process.poll()) == (0, 1, None)


@pytest.mark.any_server
@pytest.mark.parametrize(
    ("field", "callback"),
    [("success_callback_name", "os.getcwd"), ("failure_callback_name", "os.getcwd"), ("stopped_callback_name", f"{SAMPLE}.unmarked")],
)
def test_a_callback_that_is_not_loaded_is_refused_and_the_worker_lives_on(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, field: str, callback: str
) -> None:
    function = {"success": "add", "failure": "fail", "stopped": "tick"}[field.split("_")[0]]
    arguments = '["x"]'
    forged = forge(bus, "forged", f'["{SAMPLE}.{function}",null,{arguments},{{}}]', **{field: callback})
    start_workers()
    if function == "tick":
        effects.wait_for("x:begun")
        forged.restore(bus.redis.hgetall(forged.key))
        forged.cancel()
    outcome = forged.wait(10)
    assert outcome is not None
    assert outcome.status == ("stopped" if function == "tick" else "failed")
    assert queue.enqueue(add).wait(10) == Outcome("finished")


@pytest.mark.any_server
def test_loaded_callbacks_are_called(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    start_workers()
    queue.enqueue(add, on_success=rq.Callback(count_success)).wait(10)
    effects.wait_for("on_success")
    stopped = queue.enqueue(tick, "x", on_stopped=rq.Callback(count_stop))
    effects.wait_for("x:begun")
    stopped.cancel()
    effects.wait_for("on_stopped")


@pytest.mark.any_server
def test_a_callback_that_raises_when_a_job_is_stopped_harms_nothing(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    start_workers()
    stopped = queue.enqueue(tick, "x", on_stopped=rq.Callback(raise_on_stop))
    effects.wait_for("x:begun")
    with bus.subscribe("job.work") as events:
        outcome = stopped.cancel()
        assert next_mishap(events)["status"] == "stopped"
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert (stopped.outcome, effects["on_stopped"]) == (outcome, 1)
    assert stopped.id not in queue.started_job_registry


@pytest.mark.any_server
def test_a_job_whose_process_dies_has_failed_and_the_worker_lives_on(queue: Queue, start_workers: StartWorkers) -> None:
    start_workers()
    died = queue.enqueue(kill_yourself)
    assert died.wait(10).status == "failed"
    assert "signal 9" in error_of(died)
    assert queue.enqueue(add).wait(10) == Outcome("finished")


@pytest.mark.any_server
def test_a_job_that_takes_too_long_has_failed(queue: Queue, start_workers: StartWorkers) -> None:
    start_workers()
    late = queue.enqueue(hold, "x", job_timeout=1)
    assert late.wait(10).status == "failed"
    assert "JobTimeoutException" in error_of(late)


MALFORMED = [
    b"",
    b"not json",
    b"[]",
    b"3",
    b"null",
    b"{}",
    b'{"command": 3}',
    b'{"command": null}',
    b'{"command": "dance"}',
    b'{"command": "stop-job"}',
    b'{"command": "stop-job", "job_id": {}}',
    b'{"command": "stop-job", "job_id": "nowhere"}',
    b'{"command": "\xff"}',
    b"\xff\xfe",
    b"[" * 50_000,
    b'{"command":' + b"[" * 50_000,
]


def test_messages_that_cannot_be_obeyed_harm_nothing(bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    start_workers()
    running = queue.enqueue(tick, "x")
    effects.wait_for("x:begun")
    (name,) = [worker.name for worker in rq.Worker.all(connection=bus.redis)]
    for message in MALFORMED:
        assert bus.redis.publish(f"rq:pubsub:{name}", message) == 1
    # It still listens: RQ's own command, without our mark, takes effect at once.
    with bus.subscribe("job.work") as events:
        rq.command.send_stop_job_command(bus.redis, running.id, serializer=JsonSerializer)
        assert next_mishap(events, 0.9) is not None
    outcome = running.outcome
    assert outcome is not None
    assert (outcome.status, outcome.reason) == ("stopped", "stopped on request")


def test_a_stop_of_another_job_does_not_hit_the_one_that_runs(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    start_workers()
    ended, running = queue.enqueue(hold, "x"), queue.enqueue(hold, "y")
    effects.wait_for("x:begun")
    ended.cancel()
    effects.wait_for("y:begun")
    (name,) = [worker.name for worker in rq.Worker.all(connection=bus.redis)]
    rq.command.send_command(bus.redis, name, "stop-job", job_id=ended.id)
    effects.let_go("y")
    assert running.wait(10) == Outcome("finished")


@pytest.mark.any_server
def test_rqs_command_to_kill_the_process_of_a_job_is_obeyed(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    start_workers()
    running = queue.enqueue(tick, "x")
    effects.wait_for("x:begun")
    (name,) = [worker.name for worker in rq.Worker.all(connection=bus.redis)]
    send_kill_horse_command(bus.redis, name)
    assert running.wait(10).status == "failed"
    send_kill_horse_command(bus.redis, name)  # there is none, and the worker's own group is none of it
    assert queue.enqueue(add).wait(10) == Outcome("finished")


@pytest.mark.any_server
def test_rqs_command_to_shut_down_is_obeyed(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    (process,) = start_workers().processes
    queue.enqueue(add).wait(10)
    (name,) = [worker.name for worker in rq.Worker.all(connection=bus.redis)]
    send_shutdown_command(bus.redis, name)
    assert process.wait(10) == 0


@pytest.mark.any_server
def test_sigterm_lets_the_job_in_hand_finish_and_starts_no_other(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    (process,) = start_workers().processes
    in_hand, next_one = queue.enqueue(hold, "x"), queue.enqueue(add)
    effects.wait_for("x:begun")
    process.send_signal(signal.SIGTERM)
    wait_until(lambda: bus.redis.hget(rq.Worker.all(connection=bus.redis)[0].key, "shutdown_requested_date"), what="the request")
    effects.let_go("x")
    assert process.wait(10) == 0
    assert (in_hand.outcome, next_one.outcome) == (Outcome("finished"), None)
    assert next_one.id in queue.get_job_ids()
    assert rq.Worker.all(connection=bus.redis) == []


@pytest.mark.any_server
def test_sigterm_between_two_jobs_is_an_orderly_end(queue: Queue, start_workers: StartWorkers, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        (process,) = start_workers().processes
        done = queue.enqueue(add)
        done.wait(10)
        process.send_signal(signal.SIGTERM)  # while the worker puts things away after the job
        assert process.wait(10) == 0
    assert "Traceback" not in capfd.readouterr().err


def test_a_worker_that_is_killed_takes_its_job_with_it(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    (process,) = start_workers().processes
    queue.enqueue(tick, "x")
    effects.wait_for("x:begun")
    assert is_alive(effects["x:pid"])
    process.kill()
    wait_until(lambda: not is_alive(effects["x:pid"]), what="the end of the job's process")
    written = effects["x:begun"]
    assert effects["x:begun"] == written


@pytest.mark.any_server
def test_a_stopped_job_takes_the_programs_it_started_with_it(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    start_workers()
    running = queue.enqueue(start_a_program, "x")
    effects.wait_for("x:begun")
    assert is_alive(effects["x:pid"])
    running.cancel()
    wait_until(lambda: not is_alive(effects["x:pid"]), what="the end of the program")


@pytest.mark.any_server
@pytest.mark.parametrize("worker", ["SignalledAtTheClaim", "SignalledBeforeTheStart"])
def test_sigterm_between_dequeue_and_start_loses_no_job(queue: Queue, server: Any, worker: str) -> None:
    in_hand, next_one = queue.enqueue(add, "in hand"), queue.enqueue(add, "next")
    run_odd_worker(worker, server.url)
    assert (in_hand.outcome, next_one.outcome) == (Outcome("finished"), None)
    assert queue.get_job_ids() == [next_one.id]


@pytest.mark.parametrize("worker", ["StoppedBeforeTheStart", "StoppedBeforeTheAnswer"])
def test_a_job_stopped_before_its_process_is_there_never_runs(
    bus: notify.Bus, queue: Queue, server: Any, effects: Effects, worker: str
) -> None:
    with bus.subscribe("job.work") as events:
        early = queue.enqueue(add)
        run_odd_worker(worker, server.url)
        (told,) = mishaps(events, 1)
    outcome = early.outcome
    assert outcome is not None
    assert (outcome.status, outcome.reason, told["status"]) == ("stopped", "early", "stopped")
    assert (effects["added"], early.id in queue.started_job_registry) == (0, False)


def test_a_stop_that_comes_too_late_does_not_hit_the_next_job(queue: Queue, server: Any, effects: Effects) -> None:
    stopped, next_one = queue.enqueue(hold, "x"), queue.enqueue(hold, "y")
    with subprocess.Popen(odd_worker("StoppedTooLate", server.url)) as worker:
        effects.wait_for("x:begun")
        outcome = stopped.cancel()
        effects.let_go("x")
        effects.wait_for("y:begun")
        effects.wait_for("too late")
        effects.let_go("y")
        assert worker.wait(20) == 0
    assert (stopped.outcome, next_one.outcome) == (outcome, Outcome("finished"))


def test_a_stop_counts_for_one_run_only(queue: Queue, server: Any, effects: Effects) -> None:
    stopped = queue.enqueue(hold, "x", job_id="the-same")
    queue.enqueue(hold, "y")
    with subprocess.Popen(odd_worker("CheckedOnceMore", server.url)) as worker:
        effects.wait_for("x:begun")
        stopped.cancel()
        effects.wait_for("y:begun")
        again = queue.enqueue(add, job_id="the-same")
        effects.let_go("y")
        assert worker.wait(20) == 0
    assert again.outcome == Outcome("finished")


def odd_worker(name: str, url: str) -> list[str]:
    return [sys.executable, "-m", "tests.support.odd_workers", name, url]


def run_odd_worker(name: str, url: str) -> None:
    done = subprocess.run(odd_worker(name, url), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def test_a_burst_worker_ends_when_the_queues_are_empty(queue: Queue, start_workers: StartWorkers) -> None:
    jobs = [queue.enqueue(add) for _ in range(3)]
    (process,) = start_workers(burst=True).processes
    assert process.wait(10) == 0
    assert [job.outcome for job in jobs] == [Outcome("finished")] * 3


def test_a_burst_with_a_scheduler_runs_what_is_due(bus: notify.Bus, server: Any, queue: Queue, effects: Effects) -> None:
    scheduled = queue.enqueue_in(timedelta(seconds=-1), add)
    program = (
        "import sys, notify, workers\n"
        "with notify.connect(sys.argv[1]) as bus:\n"
        f"    workers.Worker(['work'], connection=bus.redis, modules=['{SAMPLE}']).work(burst=True, with_scheduler=True)"
    )
    done = subprocess.run([sys.executable, "-c", program, server.url], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert (scheduled.outcome, effects["added"]) == (Outcome("finished"), 1)


def before_it_begins(worker: Worker, act: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do something when a job has been taken and the horse has not got it yet."""
    give = worker._loop._give

    def act_and_give(claim: Any, queue: Any) -> bool:
        act()
        return give(claim, queue)

    monkeypatch.setattr(worker._loop, "_give", act_and_give)


def test_a_job_cancelled_after_it_was_taken_and_before_it_began_never_runs(
    bus: notify.Bus, queue: Queue, worker: Worker, effects: Effects, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued = queue.enqueue(add)

    def cancel() -> None:
        queued.cancel()
        worker.handle_payload({"data": msgspec.json.encode({"command": "stop-job", "job_id": queued.id})})

    before_it_begins(worker, cancel, monkeypatch)
    taken: Any = worker.dequeue_job_and_maintain_ttl(None)
    worker.execute_job(*taken)
    assert queued.outcome is not None
    assert (effects["added"], queued.outcome.status, queued.outcome.reason) == (0, "stopped", "cancelled")
    assert queued.id not in queue.started_job_registry
    assert bus.redis.llen(queue.intermediate_queue_key) == 0


def test_plain_rq_runs_a_job_cancelled_between_dequeue_and_start(bus: notify.Bus) -> None:
    """RQ issue 2160, which is what the gate is for."""
    called.clear()
    plain = rq.Queue("plain", connection=bus.redis, serializer="json")
    queued = plain.enqueue("tests.workers.worker.test_worker.call")
    worker = rq.SimpleWorker([plain], connection=bus.redis, serializer="json")
    dequeued: Any = worker.dequeue_job_and_maintain_ttl(None)
    queued.cancel()
    worker.execute_job(*dequeued)
    assert called == [1]


called: list[int] = []


def call() -> None:
    called.append(1)


def test_a_stop_that_comes_before_the_answer_to_the_claim_is_not_lost(
    bus: notify.Bus, queue: Queue, worker: Worker, effects: Effects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RQ's own command, which leaves no mark; the claim is made, and the worker does not know yet."""
    queued = queue.enqueue(add)
    begin = worker._loop._begin

    def begin_late(claim: Any) -> Any:
        worker.handle_payload({"data": msgspec.json.encode({"command": "stop-job", "job_id": queued.id})})
        return begin(claim)

    monkeypatch.setattr(worker._loop, "_begin", begin_late)
    taken: Any = worker.dequeue_job_and_maintain_ttl(None)
    worker.execute_job(*taken)
    assert queued.outcome is not None
    assert (effects["added"], queued.outcome.status) == (0, "stopped")


def test_a_stop_of_a_job_that_does_not_run_here_does_not_hit_it_when_it_does(
    bus: notify.Bus, queue: Queue, worker: Worker, effects: Effects
) -> None:
    queued = queue.enqueue(add)
    worker.handle_payload({"data": msgspec.json.encode({"command": "stop-job", "job_id": queued.id})})
    taken: Any = worker.dequeue_job_and_maintain_ttl(None)
    worker.execute_job(*taken)
    worker.teardown()
    assert (effects["added"], queued.outcome) == (1, Outcome("finished"))


def test_a_service_lost_after_a_job_was_taken_and_before_it_began_keeps_it_from_beginning(
    bus: notify.Bus, queue: Queue, worker: Worker, effects: Effects, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard, service = LossWatcher(bus.redis, worker._stopper.stop_run), bus.service("svc").open()

    def lose() -> None:
        service.close()
        assert worker._current_run.run is not None
        guard.watch(worker._current_run.run)
        guard.check()
        guard.close()

    queued = queue.enqueue(add_with_svc)
    before_it_begins(worker, lose, monkeypatch)
    taken: Any = worker.dequeue_job_and_maintain_ttl(None)
    worker.execute_job(*taken)
    outcome = queued.outcome
    assert outcome is not None
    assert (effects["added"], outcome.status, outcome.need) == (0, "stopped", "svc")
