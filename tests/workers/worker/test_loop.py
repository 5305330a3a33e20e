"""The features of RQ's worker, on ours: all but the plain success goes through RQ's own code."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import rq
from rq.results import Result
from rq.suspension import resume, suspend

import notify
from notify.testing import wait_until
from tests.support.faults import commands_during
from tests.support.sample_jobs import (
    add,
    count_failure,
    count_success,
    exit_politely,
    fail,
    fail_then_die,
    hold,
    keep_meta,
    kill_yourself,
    leave_at_once,
    raise_on_success,
    save_on_end,
    try_again,
    where,
)
from tests.workers.conftest import Effects, StartWorkers, result
from workers import Job, Outcome, Queue, rq_keys
from workers.scripts.runner import JobScriptRunner


def work(url: str, kind: str = "Worker", **options: Any) -> str:
    """Run a worker until it ends. Returns what it logged."""
    command = [sys.executable, "-m", "tests.support.odd_workers", kind, url, json.dumps(options or {"burst": True})]
    done = subprocess.run(command, capture_output=True, text=True, timeout=40, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def types_of(job: Job) -> list[str]:
    return [result.type.name for result in reversed(job.results())]


def test_results_are_kept_as_rq_keeps_them(queue: Queue, server: Any) -> None:
    finished, failed = queue.enqueue(add, "x"), queue.enqueue(fail)
    work(server.url)
    assert (finished.return_value(), failed.return_value(), types_of(finished), types_of(failed)) == ("x", None, ["SUCCESSFUL"], ["FAILED"])
    result = finished.latest_result()
    assert result is not None
    assert result.execution_started_at is not None
    assert result.execution_ended_at is not None
    assert result.execution_started_at <= result.execution_ended_at
    assert (finished.get_executions(), failed.get_executions()) == ([], [])
    assert failed.id in queue.failed_job_registry


def test_a_worker_counts_its_jobs(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    start_workers()
    for function in (add, add, fail):
        queue.enqueue(function).wait(10)
    wait_until(lambda: rq.Worker.all(connection=bus.redis)[0].failed_job_count == 1)
    (worker,) = rq.Worker.all(connection=bus.redis)
    wait_until(lambda: rq.Worker.all(connection=bus.redis)[0].get_state() == "idle")
    assert (worker.successful_job_count, worker.failed_job_count) == (2, 1)
    assert worker.total_working_time > 0
    assert bus.redis.ttl(worker.key) > 60


def test_a_worker_at_work_says_so_and_with_which_job(bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    start_workers()
    running = queue.enqueue(hold, "x")
    effects.wait_for("x:begun")
    (worker,) = rq.Worker.all(connection=bus.redis)
    assert worker.get_state() == "busy"
    wait_until(lambda: worker.get_current_job_id() == running.id, what="the job in RQ's record of the worker")
    wait_until(running.get_executions, what="the record of a run that takes longer than 20 ms")
    assert [execution.worker_name for execution in running.get_executions()] == [worker.name]
    assert queue.started_job_registry.get_job_ids() == [running.id]
    effects.let_go("x")
    wait_until(lambda: rq.Worker.all(connection=bus.redis)[0].get_state() == "idle")
    assert rq.Worker.all(connection=bus.redis)[0].get_current_job_id() is None


@pytest.mark.any_server
def test_callbacks_are_called_and_one_that_raises_fails_the_job(queue: Queue, server: Any, effects: Effects) -> None:
    finished = queue.enqueue(add, on_success=rq.Callback(count_success))
    failed = queue.enqueue(fail, on_failure=rq.Callback(count_failure))
    spoilt = queue.enqueue(add, on_success=rq.Callback(raise_on_success))
    work(server.url)
    assert [job.outcome.status for job in (finished, failed, spoilt)] == ["finished", "failed", "failed"]
    assert (effects["on_success"], effects["on_failure"], effects["added"]) == (1, 1, 2)


@pytest.mark.parametrize(("function", "status"), [(add, "finished"), (fail, "failed")])
def test_a_callback_may_save_its_job(queue: Queue, server: Any, function: Callable[..., Any], status: str) -> None:
    callback = rq.Callback(save_on_end)
    job = queue.enqueue(function, on_success=callback, on_failure=callback)
    work(server.url)
    registry = queue.finished_job_registry if status == "finished" else queue.failed_job_registry
    assert (job.outcome.status, len(types_of(job)), job.get_meta()) == (status, 1, {"told": True})
    assert (job.get_executions(), queue.started_job_registry.get_job_ids(), registry.get_job_ids()) == ([], [], [job.id])


def test_an_exception_handler_may_save_the_job(queue: Queue, server: Any) -> None:
    job = queue.enqueue(fail)
    work(server.url, "WithAHandlerThatSavesTheJob")
    assert (types_of(job), job.get_meta(), queue.failed_job_registry.get_job_ids()) == (["FAILED"], {"told": True}, [job.id])


def test_a_job_that_fails_is_tried_again(queue: Queue, server: Any, effects: Effects) -> None:
    job = queue.enqueue(fail, retry=rq.Retry(max=2))
    work(server.url)
    assert (effects["failed"], job.outcome.status) == (3, "failed")


def test_a_job_that_asks_for_another_try_gets_it(queue: Queue, server: Any, effects: Effects) -> None:
    job = queue.enqueue(try_again, 2)
    work(server.url)
    assert (effects["tried"], job.return_value(), types_of(job)) == (3, 2, ["RETRIED", "RETRIED", "SUCCESSFUL"])


def test_each_run_of_a_job_has_an_end_of_its_own(bus: notify.Bus, queue: Queue, server: Any) -> None:
    job = queue.enqueue(fail_then_die, retry=rq.Retry(max=1))
    work(server.url)
    ended = Job.fetch(job.id, connection=bus.redis)
    assert ended.outcome.status == "failed"
    assert ended.started_at is not None
    assert ended.ended_at is not None
    assert ended.started_at <= ended.ended_at


def test_a_job_is_repeated(queue: Queue, server: Any, effects: Effects) -> None:
    queue.enqueue(add, repeat=rq.Repeat(times=2))
    work(server.url)
    assert effects["added"] == 3


def test_a_result_with_no_time_to_live_leaves_nothing(bus: notify.Bus, queue: Queue, server: Any, effects: Effects) -> None:
    job = queue.enqueue(add, result_ttl=0)
    work(server.url)
    assert effects["added"] == 1
    assert list(bus.redis.scan_iter(f"*{job.id}*")) == []


def test_dependents_run_after_their_dependencies(queue: Queue, server: Any, effects: Effects) -> None:
    first, failing = queue.enqueue(add, "first"), queue.enqueue(fail)
    second = queue.enqueue(add, "second", depends_on=first)
    never = queue.enqueue(add, "never", depends_on=failing)
    after_all = queue.enqueue(add, "after all", depends_on=rq.job.Dependency(failing, allow_failure=True))
    work(server.url)
    assert (effects["first"], effects["second"], effects["never"], effects["after all"]) == (1, 1, 0, 1)
    assert (first.return_value(), second.outcome, never.outcome) == ("first", Outcome("finished"), None)
    assert first.id in queue.finished_job_registry
    assert after_all.outcome == Outcome("finished")


def test_the_meta_of_a_job_can_be_read_and_written_while_it_runs(bus: notify.Bus, queue: Queue, server: Any) -> None:
    job = queue.enqueue(keep_meta, meta={"given": [1]})
    work(server.url)
    assert Job.fetch(job.id, connection=bus.redis).meta == {"given": [1], "seen": [1]}


@pytest.mark.any_server
@pytest.mark.parametrize("function", [leave_at_once, exit_politely, kill_yourself])
def test_a_job_that_leaves_has_failed_and_the_next_one_runs(queue: Queue, server: Any, function: Any) -> None:
    leaving, next_one = queue.enqueue(function), queue.enqueue(add)
    work(server.url)
    assert (leaving.outcome.status, next_one.outcome.status) == ("failed", "finished")
    assert queue.started_job_registry.get_job_ids() == []


def test_exception_and_killed_handlers_are_called(queue: Queue, server: Any, effects: Effects) -> None:
    queue.enqueue(fail)
    queue.enqueue(kill_yourself)
    work(server.url, "WithHandlers")
    assert (effects["error RuntimeError"], effects["death 9 True True"]) == (1, 1)


def test_a_users_own_code_around_jobs_is_run(queue: Queue, server: Any, effects: Effects) -> None:
    jobs = [queue.enqueue(add), queue.enqueue(fail)]
    work(server.url, "WithItsOwnWayToPerform")
    assert effects["around"] == 2
    assert [job.outcome.status for job in jobs] == ["finished", "failed"]


@pytest.mark.any_server
def test_webhooks_are_called(queue: Queue, server: Any) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    received: list[dict[str, Any]] = []
    with HTTPServer(("127.0.0.1", 0), Handler) as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        hook = rq.Webhook(f"http://127.0.0.1:{receiver.server_port}/", "finished", method="POST")
        job = queue.enqueue(add, webhooks=[hook])
        work(server.url)
        receiver.shutdown()
        thread.join()
    assert [(each["job_id"], each["status"]) for each in received] == [(job.id, "finished")]


def test_a_worker_ends_after_so_many_jobs_and_records_the_last(queue: Queue, server: Any) -> None:
    jobs = [queue.enqueue(add) for _ in range(3)]
    work(server.url, max_jobs=2)
    assert [job.outcome for job in jobs] == [Outcome("finished"), Outcome("finished"), None]
    assert queue.started_job_registry.get_job_ids() == []


@pytest.mark.any_server
def test_a_worker_ends_when_no_job_came_for_max_idle_time(queue: Queue, server: Any) -> None:
    job = queue.enqueue(add)
    began = time.monotonic()
    work(server.url, max_idle_time=1)
    assert 1 <= time.monotonic() - began < 15
    assert job.outcome == Outcome("finished")


def test_queues_take_turns_if_asked_to(bus: notify.Bus, server: Any) -> None:
    queues = [Queue(name, connection=bus.redis) for name in ("work", "more")]
    jobs = [queue.enqueue(where) for queue in queues for _ in range(2)]
    work(server.url, burst=True, dequeue_strategy="round_robin")
    started = {job.origin + str(number): Job.fetch(job.id, connection=bus.redis).started_at for number, job in enumerate(jobs)}
    assert sorted(started, key=lambda name: str(started[name])) == ["work0", "more2", "work1", "more3"]


def test_suspended_workers_wait(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    start_workers()
    queue.enqueue(add).wait(10)
    suspend(bus.redis, ttl=60)
    waits = queue.enqueue(add)
    wait_until(lambda: rq.Worker.all(connection=bus.redis)[0].get_state() == "suspended", timeout_s=10)
    assert waits.outcome is None
    resume(bus.redis)
    assert waits.wait(10) == Outcome("finished")


def test_a_suspended_worker_in_a_burst_ends(bus: notify.Bus, queue: Queue, server: Any) -> None:
    waits = queue.enqueue(add)
    suspend(bus.redis, ttl=60)
    work(server.url)
    assert waits.outcome is None


def test_the_type_of_a_stop_is_kept_too(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    start_workers()
    running = queue.enqueue(hold, "x")
    effects.wait_for("x:begun")
    running.cancel()
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert [result.type for result in running.results()] == [Result.Type.FAILED]  # as RQ has it
    assert running.id in queue.failed_job_registry


def test_an_idle_worker_sends_next_to_nothing_and_begins_at_once(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    start_workers(queues=("more", "work"))
    result(queue.enqueue(where))
    commands = commands_during(bus.redis, lambda: threading.Event().wait(3))
    leased = [command for command in commands if bus.keys.renewed in command]
    assert 2 <= len(leased) <= 4
    # It leads: it looks for scheduled jobs, for holds that are over, and now and then for recurring jobs that are due and for dependents.
    holds = JobScriptRunner(bus.redis).digest("expire_holds")
    marks = (rq_keys.QUEUES, bus.keys.cron_due, bus.keys.dependents, holds)
    done = [command for command in commands if any(mark in command for mark in marks)]
    assert 3 <= len(done) <= 10
    # It waits for a token, and looks at its queues, once a second; as the leader it has the server track the queues.
    waits = [command for command in commands if command.startswith(("BLPOP notify:wake:", "EXISTS rq:queue:", "CLIENT TRACKING ON"))]
    # The probes of its two subscriptions, and the sweep of the directory.
    swept = [command for command in commands if bus.keys.due in command]
    assert [command for command in commands if command not in ("PING", *leased, *done, *swept, *waits)] == []
    assert len(waits) <= 10
    assert len(commands) / 3 <= 16, "P8: of a worker that leads; another sends half of it"
    assert len(swept) <= 4
    queued = queue.enqueue(where)
    result(queued)
    fetched = Job.fetch(queued.id, connection=bus.redis)
    assert fetched.started_at is not None
    assert fetched.enqueued_at is not None
    assert (fetched.started_at - fetched.enqueued_at).total_seconds() < 0.5
