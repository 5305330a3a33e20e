"""Job handles: stored fields, outcome, cancel and requeue."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import rq
from rq.job import JobStatus

import notify
import workers
from tests.support.sample_jobs import add, add_with_svc, fail, hold, who_am_i
from tests.workers.conftest import Effects, StartWorkers, mishaps, next_mishap
from workers import Job, JobDefinitionError, JobNotFoundError, Outcome, Queue, Why, current_bus, current_job
from workers.jobs.call import JsonSerializer


def status_and_reason(outcome: Outcome | None) -> tuple[str, str]:
    assert outcome is not None
    return outcome.status, outcome.reason


def test_the_stored_fields_of_a_job_are_plain_json(queue: Queue, bus: notify.Bus) -> None:
    with bus.service("svc"):
        queued = queue.enqueue(hold, "ü", needs="svc", on_loss="drain", meta={"from": ["x", 1]})
    stored: Any = {key: bus.redis.hget(f"rq:job:{queued.id}", key) for key in ("data", "meta", "needs", "on_loss")}
    assert stored["data"].decode() == '["tests.support.sample_jobs.hold",null,["ü"],{}]'
    assert json.loads(stored["meta"]) == {"from": ["x", 1]}
    assert json.loads(stored["needs"]) == {"svc": 0}
    assert stored["on_loss"] == b"drain"


def test_a_fetched_job_is_as_it_was_enqueued(queue: Queue, bus: notify.Bus) -> None:
    with bus.service("svc"), bus.service("other"):
        queued = queue.enqueue(hold, "x", needs=["svc", "other"], on_loss="drain")
    fetched = Job.fetch(queued.id, connection=bus.redis)
    assert isinstance(fetched, Job)
    assert (fetched.func_name, fetched.args, fetched.needs, fetched.on_loss) == (
        "tests.support.sample_jobs.hold",
        ["x"],
        {"svc": 0, "other": 0},
        "drain",
    )


def test_saving_a_fetched_job_changes_nothing(queue: Queue, bus: notify.Bus) -> None:
    with bus.service("svc"):
        queued = queue.enqueue(add_with_svc)
    before = bus.redis.hgetall(queued.key)
    Job.fetch(queued.id, connection=bus.redis).save()
    now: Any = bus.redis.hgetall(queued.key)
    assert {field: value for field, value in now.items() if value or field in before} == before


def test_a_job_that_has_not_ended_has_no_outcome(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    queued = queue.enqueue(hold, "x")
    assert queued.outcome is None
    start_workers()
    effects.wait_for("x:begun")
    assert (queued.outcome, queued.get_status()) == (None, JobStatus.STARTED)
    effects.let_go("x")
    assert queued.wait(10) == queued.outcome == Outcome("finished")


def test_a_job_that_raises_fails_and_keeps_the_traceback(queue: Queue, start_workers: StartWorkers) -> None:
    start_workers()
    failed = queue.enqueue(fail)
    assert failed.wait(10) == Outcome("failed", "RuntimeError: it went wrong", why=Why("raised"))
    result = failed.latest_result()
    assert result is not None
    assert "RuntimeError: it went wrong" in (result.exc_string or "")


def test_the_return_value_of_a_job_can_be_read(queue: Queue, start_workers: StartWorkers) -> None:
    start_workers()
    done = queue.enqueue(add, "x")
    done.wait(10)
    assert done.return_value() == "x"


def test_waiting_ends_after_its_timeout(queue: Queue) -> None:
    queued = queue.enqueue(add)
    assert queued.wait(0) is None
    assert queued.wait(0.05) is None


def test_waiting_for_an_ended_job_does_not_wait(queue: Queue) -> None:
    refused = queue.enqueue(add_with_svc)
    assert refused.wait(0) == refused.wait() == refused.outcome


@pytest.mark.parametrize("action", [lambda job: job.outcome, lambda job: job.wait(), lambda job: job.cancel()])
def test_the_outcome_of_a_deleted_job_is_an_error(queue: Queue, action: Callable[[Job], object]) -> None:
    queued = queue.enqueue(add)
    queued.delete()
    with pytest.raises(JobNotFoundError, match=f"no job {queued.id} at unix://.*time to live"):
        action(queued)


def test_fetching_a_missing_job_is_an_error(bus: notify.Bus) -> None:
    with pytest.raises(JobNotFoundError, match="no job nowhere at unix://"):
        Job.fetch("nowhere", connection=bus.redis)


def test_fetching_many_jobs_gives_none_for_missing_ones(queue: Queue, bus: notify.Bus) -> None:
    queued = queue.enqueue(add)
    assert Job.fetch_many([queued.id, "nowhere"], connection=bus.redis) == [queued, None]


def test_fetching_without_a_connection_is_refused() -> None:
    with pytest.raises(JobDefinitionError, match=r"connection=bus\.redis"):
        Job.fetch("an-id")


@pytest.mark.parametrize("serializer", ["pickle", rq.serializers.DefaultSerializer, rq.serializers.PickleSerializer, object()])
def test_a_foreign_serializer_is_refused(bus: notify.Bus, serializer: Any) -> None:
    with pytest.raises(JobDefinitionError, match="jobs are kept as JSON"):
        Job("an-id", connection=bus.redis, serializer=serializer)


@pytest.mark.parametrize("serializer", [None, "json", rq.serializers.JSONSerializer, JsonSerializer])
def test_json_may_be_named_in_every_way(bus: notify.Bus, serializer: Any) -> None:
    assert Job("an-id", connection=bus.redis, serializer=serializer).serializer is JsonSerializer


def test_nothing_is_ever_unpickled() -> None:
    sources = [path for path in Path(workers.__file__).parent.rglob("*") if path.suffix in (".py", ".lua")]
    assert len(sources) > 15
    assert [path for path in sources if re.search(r"import pickle|pickle\.|DefaultSerializer", path.read_text())] == []


def test_a_cancel_of_a_waiting_job_is_published(queue: Queue, bus: notify.Bus) -> None:
    with bus.service("svc"), bus.subscribe("job.work") as events:
        queued = queue.enqueue(add_with_svc)
        outcome = queued.cancel("not today")
        (contents,) = mishaps(events, 1)
    assert status_and_reason(outcome) == ("cancelled", "not today")
    assert outcome is not None
    assert contents == {"job": queued.id, "status": "cancelled", "reason": "not today", "at_ms": outcome.at_ms, "why": {"rule": "asked"}}
    assert (queue.get_job_ids(), queue.canceled_job_registry.get_job_ids()) == ([], [queued.id])
    assert not bus.redis.exists(bus.keys.needs("svc"))
    assert 86_000 < bus.redis.ttl(queued.key) <= 86_400


def test_a_cancelled_job_leaves_the_index_of_every_service_it_needed(queue: Queue, bus: notify.Bus) -> None:
    with bus.service("one"), bus.service("two"), bus.service("three"):
        needs = ["one", "two", "three"]
        first, second = queue.enqueue(add, needs=needs), queue.enqueue(add, needs=needs)
        first.cancel()
        assert [bus.redis.zrange(bus.keys.needs(need), 0, -1) for need in needs] == [[second.id.encode()]] * 3


def test_cancelling_twice_gives_the_same_outcome_and_one_event(queue: Queue, bus: notify.Bus) -> None:
    with bus.subscribe("job.work") as events:
        queued = queue.enqueue(add)
        first = queued.cancel("once")
        assert queued.cancel("twice") == first == Job.fetch(queued.id, connection=bus.redis).cancel()
        mishaps(events, 1)


def test_a_deferred_job_is_cancelled(queue: Queue) -> None:
    deferred = queue.enqueue(add, depends_on=queue.enqueue(add))
    assert status_and_reason(deferred.cancel()) == ("cancelled", "cancelled")
    assert deferred.id not in queue.deferred_job_registry


def test_a_scheduled_job_is_cancelled(queue: Queue) -> None:
    scheduled = queue.enqueue_in(timedelta(hours=1), add)
    assert status_and_reason(scheduled.cancel()) == ("cancelled", "cancelled")
    assert scheduled.id not in queue.scheduled_job_registry


def test_a_stop_is_published_when_the_process_of_the_job_is_dead(
    queue: Queue, bus: notify.Bus, start_workers: StartWorkers, effects: Effects
) -> None:
    queued = queue.enqueue(hold, "x")
    start_workers()
    effects.wait_for("x:begun")
    with bus.subscribe("job.work") as events:
        outcome = queued.cancel("enough")
        contents = next_mishap(events)
    assert status_and_reason(outcome) == ("stopped", "enough")
    assert outcome is not None
    assert {**contents, "why": contents["why"]["rule"]} == {
        "job": queued.id,
        "status": "stopped",
        "reason": "enough",
        "need": None,
        "at_ms": outcome.at_ms,
        "why": "asked",
        "worker": contents["worker"],
    }
    effects.let_go("x")
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert (queued.outcome, effects["x:done"]) == (outcome, 0)


def test_a_cancel_wakes_the_worker_that_runs_the_job(queue: Queue, bus: notify.Bus, start_workers: StartWorkers, effects: Effects) -> None:
    start_workers()
    running = queue.enqueue(hold, "x")
    effects.wait_for("x:begun")
    (worker,) = rq.Worker.all(connection=bus.redis)
    with bus.redis.pubsub() as listener:
        listener.subscribe(worker.pubsub_channel_name)
        running.cancel()
        messages: list[Any] = [listener.get_message(timeout=5) for _ in range(2)]
    assert json.loads(messages[1]["data"]) == {"command": "stop-job", "job_id": running.id}


def test_a_finished_job_stays_finished(queue: Queue, start_workers: StartWorkers) -> None:
    start_workers()
    done = queue.enqueue(add, "x")
    done.wait(10)
    assert done.cancel("too late") == done.outcome == Outcome("finished")
    assert done.return_value() == "x"


@pytest.mark.parametrize("options", [{"pipeline": None}, {"enqueue_dependents": True}])
def test_the_options_of_rqs_cancel_are_refused(queue: Queue, options: dict[str, Any]) -> None:
    queued = queue.enqueue(add)
    with pytest.raises(JobDefinitionError, match=next(iter(options))):
        queued.cancel(**options)
    assert queued.outcome is None


def test_a_job_cancelled_by_plain_rq_has_an_outcome(queue: Queue, bus: notify.Bus) -> None:
    queued = queue.enqueue(add)
    rq.cancel_job(queued.id, connection=bus.redis)
    assert queued.outcome == Outcome("cancelled")


def test_a_running_job_has_current_job_and_current_bus(queue: Queue, start_workers: StartWorkers) -> None:
    start_workers()
    running = queue.enqueue(who_am_i)
    running.wait(10)
    job_id, name = running.return_value() or ["", ""]
    assert job_id == running.id
    assert ":" in name


def test_outside_of_a_job_there_is_no_current_job() -> None:
    with pytest.raises(JobNotFoundError, match="no job runs here"):
        current_job()
    with pytest.raises(JobNotFoundError, match="no job runs here"):
        current_bus()


def test_a_stopped_job_can_be_requeued_when_its_service_is_back(
    queue: Queue, bus: notify.Bus, start_workers: StartWorkers, effects: Effects
) -> None:
    start_workers()
    with bus.service("svc"), bus.subscribe("job.work") as events:
        job = queue.enqueue(hold, "x", needs="svc")
        effects.wait_for("x:begun")
        bus.directory.kill("svc")
        assert next_mishap(events)["status"] == "stopped"
    with bus.service("svc"):
        job.requeue()
        effects.wait_for("x:begun", 2)
        effects.let_go("x")
        assert job.wait(10) == Outcome("finished")


def test_plain_rq_reads_our_jobs_queues_and_workers(queue: Queue, bus: notify.Bus, start_workers: StartWorkers, effects: Effects) -> None:
    with bus.service("svc"):
        running, queued = queue.enqueue(hold, "x", needs="svc"), queue.enqueue(add_with_svc, "y")
        cancelled = queue.enqueue(add)
        cancelled.cancel()
        start_workers()
        effects.wait_for("x:begun")
        plain = rq.Queue("work", connection=bus.redis, serializer="json")
        fetched = plain.fetch_job(queued.id)
        assert fetched is not None
        assert (type(fetched), fetched.args, fetched.func_name) == (rq.job.Job, ["y"], "tests.support.sample_jobs.add_with_svc")
        assert (plain.count, plain.started_job_registry.get_job_ids()) == (1, [running.id])
        assert plain.canceled_job_registry.get_job_ids() == [cancelled.id]
        (worker,) = rq.Worker.all(connection=bus.redis)
        assert (worker.get_state(), worker.get_current_job_id(), worker.queue_names()) == ("busy", running.id, ["work"])
        effects.let_go("x")
        assert queued.wait(10) == Outcome("finished")
    assert sorted(plain.finished_job_registry.get_job_ids()) == sorted([running.id, queued.id])


def test_rq_info_shows_our_queues_and_workers(
    queue: Queue, bus: notify.Bus, server: Any, start_workers: StartWorkers, effects: Effects
) -> None:
    queue.enqueue(hold, "x")
    queue.enqueue(add)
    start_workers()
    effects.wait_for("x:begun")
    program = Path(sys.executable).with_name("rq")
    done = subprocess.run([program, "info", "--raw", "--url", server.url], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "queue work 1" in done.stdout
    assert "busy" in done.stdout
    effects.let_go("x")


def test_our_worker_class_describes_all_workers(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    start_workers(2)
    queue.enqueue(add).wait(10)
    for worker in workers.Worker.all(connection=bus.redis):
        assert (type(worker), worker.queue_names()) == (workers.Worker, ["work"])
