"""Async jobs side by side in one process: each runs, is stopped, fails and ends by itself."""

from typing import Any

from rq import Callback, Retry

import notify
from notify.testing import wait_until
from tests.support import async_jobs as jobs
from tests.workers.conftest import Effects, result
from tests.workers.worker.side_by_side.conftest import ASYNC, begun, ended
from workers import Queue, rq_keys


def test_async_jobs_run_side_by_side_in_one_process_and_end_in_any_order(queue: Queue, effects: Effects, start: Any) -> None:
    start()
    first, second, third = begun(queue, effects, jobs.hold_beside, "a", "b", "c")
    assert len({effects[f"{name}:pid"] for name in "abc"}) == 1
    for job, name in ((third, "c"), (first, "a"), (second, "b")):
        effects.let_go(name)
        assert result(job) == name


def test_no_more_calls_run_side_by_side_than_the_definition_says(queue: Queue, effects: Effects, start: Any) -> None:
    start()
    made = [queue.enqueue(jobs.hold_in_pairs, f"p{number}") for number in range(3)]
    effects.wait_for("p0:begun")
    effects.wait_for("p1:begun")
    effects.let_go("p1")
    effects.wait_for("p2:begun")
    assert effects["p0:begun"] == 1
    effects.let_go("p0")
    effects.let_go("p2")
    assert len({result(job) for job in made}) == 1


def test_each_job_is_the_current_one_for_its_own_code(queue: Queue, effects: Effects, start: Any) -> None:
    start()
    made = begun(queue, effects, jobs.who, "a", "b")
    for name in "ab":
        effects.let_go(name)
    assert [result(job) for job in made] == [[job.id] * 4 for job in made]


def test_a_stop_cancels_one_job_and_the_others_go_on(queue: Queue, effects: Effects, start: Any) -> None:
    start()
    stopped, other = begun(queue, effects, jobs.hold_beside, "a", "b")
    stopped.cancel(reason="no more")
    assert ended(stopped) == ("stopped", "no more")
    effects.wait_for("a:cancelled")
    effects.let_go("b")
    assert (result(other), effects["b:begun"], effects["b:cancelled"]) == ("b", 1, 0)


def test_a_job_that_ends_at_its_flag_meets_no_cancelled_error(queue: Queue, effects: Effects, start: Any) -> None:
    start()
    (job,) = begun(queue, effects, jobs.look_at_its_flag, "a")
    job.cancel(reason="no more")
    effects.wait_for("a:saw")
    assert ended(job) == ("stopped", "no more")


def test_who_ignores_its_stop_is_killed_and_the_others_end_by_their_retry_rule(queue: Queue, effects: Effects, start: Any) -> None:
    start()
    stopped, retried, failed = [
        *begun(queue, effects, jobs.ignore_its_stop, "x"),
        *begun(queue, effects, jobs.hold_beside, "r", retry=Retry(max=1)),
        *begun(queue, effects, jobs.hold_beside, "f"),
    ]
    stopped.cancel(reason="no more")
    assert ended(stopped) == ("stopped", "no more")
    status, reason = ended(failed)
    assert status == "failed"
    assert f"because of job {stopped.id} beside it" in reason
    effects.wait_for("r:begun", 2)
    effects.let_go("r")
    assert (result(retried), effects["x:ignored"], effects["f:begun"]) == ("r", 1, 1)


def test_a_timeout_ends_one_job_and_the_others_go_on(queue: Queue, effects: Effects, start: Any) -> None:
    start()
    late, other = begun(queue, effects, jobs.hold_beside, "late", job_timeout=1), begun(queue, effects, jobs.hold_beside, "b")
    status, reason = ended(late[0])
    assert status == "failed"
    assert "timeout" in reason
    effects.let_go("b")
    assert (result(other[0]), effects["late:cancelled"]) == ("b", 1)


def test_a_failure_and_a_retry_are_recorded_as_for_other_jobs(queue: Queue, effects: Effects, start: Any) -> None:
    start()
    other = begun(queue, effects, jobs.hold_beside, "b")
    failing = begun(queue, effects, jobs.fail_beside, "f")
    asking = queue.enqueue(jobs.ask_for_retry, "r")
    effects.let_go("f")
    status, reason = ended(failing[0])
    assert status == "failed"
    assert "f failed" in reason
    effects.wait_for("r:begun", 4)
    effects.let_go("b")
    assert result(other[0]) == "b"
    assert ended(asking)[0] == "failed"


def test_callbacks_are_called_once_for_each_job(queue: Queue, effects: Effects, start: Any) -> None:
    start()
    callbacks = {
        "on_success": Callback(f"{ASYNC}.tell_of_success"),
        "on_failure": Callback(f"{ASYNC}.tell_of_failure"),
        "on_stopped": Callback(f"{ASYNC}.tell_of_stop"),
    }
    (good,) = begun(queue, effects, jobs.hold_beside, "good", **callbacks)
    (bad,) = begun(queue, effects, jobs.fail_beside, "bad", **callbacks)
    (stopped,) = begun(queue, effects, jobs.hold_beside, "gone", **callbacks)
    for name in ("good", "bad"):
        effects.let_go(name)
    stopped.cancel(reason="no more")
    for field in ("success:good", "failure:bad", "stop:gone"):
        effects.wait_for(field)
    assert [ended(job)[0] for job in (good, bad, stopped)] == ["finished", "failed", "stopped"]
    assert [effects[f"{kind}:{name}"] for kind in ("success", "failure", "stop") for name in ("good", "bad", "gone")] == [
        *(1, 0, 0),
        *(0, 1, 0),
        *(0, 0, 1),
    ]


def test_a_job_whose_service_dies_is_stopped_alone(bus: notify.Bus, queue: Queue, effects: Effects, start: Any) -> None:
    start()
    with bus.service("svc", ttl_s=5):
        (needing,) = begun(queue, effects, jobs.hold_with_svc, "n")
        (other,) = begun(queue, effects, jobs.hold_beside, "b")
    assert ended(needing) == ("stopped", "svc is gone")
    effects.wait_for("n:cancelled")
    effects.let_go("b")
    assert (result(other), effects["b:cancelled"]) == ("b", 0)


def test_a_job_of_another_kind_waits_until_the_loop_is_empty_and_keeps_its_place(queue: Queue, effects: Effects, start: Any) -> None:
    start()
    (first,) = begun(queue, effects, jobs.hold_beside, "a")
    between = queue.enqueue(jobs.in_turn, "t")
    last = queue.enqueue(jobs.hold_beside, "b")
    wait_until(lambda: between.get_status() == "queued", what="the job waits")
    effects.let_go("a")
    assert result(first) == "a"
    effects.wait_for("b:begun")
    assert effects["t:begun"] == 1
    effects.let_go("b")
    assert result(last) == "b"


def test_the_state_of_the_process_is_restored_once_the_loop_is_empty(queue: Queue, start: Any) -> None:
    start()
    assert result(queue.enqueue(jobs.change_the_process, "/")) == "/"
    assert result(queue.enqueue(jobs.in_turn, "t")) != "/"


def test_a_state_refuses_the_write_of_a_job_that_was_stopped(bus: notify.Bus, queue: Queue, effects: Effects, start: Any) -> None:
    start()
    (other,) = begun(queue, effects, jobs.hold_beside, "b")
    writing = queue.enqueue(jobs.write_until_told, "w", "store")
    effects.wait_for("w:begun")
    writing.cancel(reason="no more")
    assert ended(writing) == ("stopped", "no more")
    assert "after" not in bus.state("store")
    effects.let_go("b")
    assert result(other) == "b"


def test_rq_lists_each_run_while_it_goes_on_and_none_after(bus: notify.Bus, queue: Queue, effects: Effects, start: Any) -> None:
    start()
    made = begun(queue, effects, jobs.hold_beside, "a", "b", "c")
    ids = {job.id for job in made}
    wait_until(lambda: all(bus.redis.zcard(rq_keys.executions(job.id)) for job in made), what="the records of the runs")
    assert set(queue.started_job_registry.get_job_ids()) == ids
    for name in "abc":
        effects.let_go(name)
    for job in made:
        result(job)
    wait_until(lambda: not queue.started_job_registry.get_job_ids(cleanup=False), what="the end of the runs")
    assert [bus.redis.zcard(rq_keys.executions(job.id)) for job in made] == [0, 0, 0]


def test_many_jobs_run_once_each(queue: Queue, effects: Effects, start: Any) -> None:
    start(2)
    made = queue.enqueue_many([Queue.prepare_data(jobs.quick, [number]) for number in range(400)])
    assert [result(job) for job in made] == list(range(400))
    assert {effects[f"quick:{number}"] for number in range(400)} == {1}
