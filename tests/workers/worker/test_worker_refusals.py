"""Jobs that a worker refuses, or that fail or are stopped: the worker lives on."""

import pytest
import rq

import notify
from tests.support.forged_jobs import a_call, error_of, forge
from tests.support.sample_jobs import (
    add,
    count_stop,
    count_success,
    hold,
    kill_yourself,
    raise_on_stop,
    tick,
)
from tests.workers.conftest import SAMPLE, Effects, StartWorkers, next_mishap
from workers import Job, Outcome, Queue


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


def test_a_worker_survives_anything_that_is_written_into_jobs_by_hand(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
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


@pytest.mark.usefixtures("each_window")
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
