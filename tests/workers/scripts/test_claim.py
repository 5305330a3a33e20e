"""Taking the next job and recording the end of the last one, in every state that they can meet."""

import signal
import subprocess
import sys
from typing import Any

import pytest
import rq
from rq.registry import StartedJobRegistry

import notify
from notify.server import SingleConnection
from tests.support.sample_jobs import add
from tests.workers.conftest import claim_next
from tests.workers.scripts.test_jobs import STATES, lose, needing, put, stored
from workers import Job, Queue, rq_keys
from workers.scripts import Claim, ClaimScripts
from workers.scripts.jobs import JobScripts
from workers.scripts.run import Ended


def push(bus: notify.Bus, *job_ids: str, queue: str = "work") -> None:
    bus.redis.rpush(rq_keys.queue(queue), *job_ids)


def waiting(bus: notify.Bus, queue: str = "work") -> Any:
    return bus.redis.lrange(rq_keys.queue(queue), 0, -1)


def ended(claim: Claim, *, result: bytes | None = None) -> Ended:
    return Ended(claim.run, 1_000.0, 1_002.5, result)


def record(bus: notify.Bus, end: Ended, **options: Any) -> str:
    """Record an end and take nothing."""
    return claim_next(bus, "nothing", fence="other", ended=end, **options).ended


@pytest.mark.parametrize("state", STATES)
def test_only_a_queued_job_is_started_and_any_other_is_passed_over(bus: notify.Bus, state: str) -> None:
    before = put(bus, state)
    push(bus, "j")
    claim = claim_next(bus)
    assert claim.answer == ("started" if state == "queued" else "")
    assert (stored(bus) == before) == (state != "queued")
    assert waiting(bus) == []


def test_a_claim_writes_what_rq_would_and_its_fence(bus: notify.Bus) -> None:
    put(bus, "queued", outcome="{}", sealed="1", stopped="old", origin="work")
    push(bus, "j")
    claim = claim_next(bus, fence="new")
    job = stored(bus)
    assert (job[b"status"], job[b"worker_name"], job[b"fence"]) == (b"started", b"w", b"new")
    assert job[b"started_at"] == job[b"last_heartbeat"]
    assert not {b"outcome", b"sealed", b"stopped"} & set(job)
    assert StartedJobRegistry("work", connection=bus.redis).get_job_and_execution_ids() == [("j", "new")]
    assert [each.id for each in Job("j", connection=bus.redis).get_executions()] == ["new"]
    worker: Any = bus.redis.hgetall(rq_keys.worker("w"))
    assert (worker[b"state"], worker[b"current_job"]) == (b"busy", b"j")
    assert (claim.queue, claim.job_id, claim.fields[b"status"]) == (0, "j", b"started")


def test_a_job_keeps_its_turn_while_the_memory_of_the_server_is_full(bus: notify.Bus) -> None:
    before = put(bus, "queued")
    push(bus, "j")
    bus.redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(notify.ServerError, match="maxmemory"):
            claim_next(bus)
    finally:
        bus.redis.config_set("maxmemory", 0)
    assert (stored(bus), waiting(bus)) == (before, [b"j"])
    assert claim_next(bus).answer == "started"


def test_a_job_keeps_its_turn_while_its_worker_has_no_right_to_start_it(bus: notify.Bus) -> None:
    before = put(bus, "queued")
    push(bus, "j")
    bus.redis.execute_command("ACL SETUSER", "limited", "on", "nopass", "+@all", "-zadd", "&*", "~*")
    connection = SingleConnection(bus.redis.clone(name="w"))
    claims = ClaimScripts(connection, "w", heartbeat_s=30, idle_s=480, result_ttl_s=500)
    try:
        connection.exchange("AUTH", "limited", "any")
        with pytest.raises(notify.ServerError, match=r"ACL failure in script|The user executing the script"):
            claims.claim([rq_keys.queue("work")], fence="new", ended=None)
    finally:
        connection.close()
        bus.redis.execute_command("ACL DELUSER", "limited")
    assert (stored(bus), waiting(bus)) == (before, [b"j"])


def test_without_a_job_the_worker_is_idle(bus: notify.Bus) -> None:
    put(bus, "queued")
    push(bus, "j")
    claim_next(bus)
    assert claim_next(bus).answer == ""
    worker: Any = bus.redis.hgetall(rq_keys.worker("w"))
    assert (worker[b"state"], b"current_job" in worker) == (b"idle", False)


def test_queues_are_emptied_in_their_order(bus: notify.Bus) -> None:
    low = [Queue("low", connection=bus.redis).enqueue(add).id for _ in range(2)]
    high = [Queue("high", connection=bus.redis).enqueue(add).id for _ in range(2)]
    claims = [claim_next(bus, "high", "low") for _ in range(4)]
    assert [(claim.queue, claim.job_id) for claim in claims] == [(0, high[0]), (0, high[1]), (1, low[0]), (1, low[1])]


def test_a_claim_takes_the_job_out_of_the_index(bus: notify.Bus) -> None:
    with bus.service("svc"):
        for state in ("queued", "canceled"):
            put(bus, state, **needing(9_999))
            bus.redis.zadd(bus.keys.needs("svc"), {"j": 1})
            push(bus, "j")
            claim_next(bus)
            assert not bus.redis.exists(bus.keys.needs("svc"))


def test_a_job_whose_service_is_gone_is_cancelled_when_it_is_claimed(bus: notify.Bus, queue: Queue) -> None:
    """It does not start, and the same step claims the next job."""
    put(bus, "queued", origin="work", **needing(0))
    bus.redis.zadd(bus.keys.needs("svc"), {"j": 1})
    push(bus, "j")
    next_one = queue.enqueue(add)
    assert claim_next(bus).job_id == next_one.id
    assert (stored(bus)[b"status"], waiting(bus)) == (b"canceled", [])
    assert not bus.redis.exists(bus.keys.needs("svc"))


def test_a_job_whose_service_came_back_does_not_start_either(bus: notify.Bus) -> None:
    lose(bus)
    with bus.service("svc"):
        put(bus, "queued", **needing(0))
        push(bus, "j")
        assert claim_next(bus).answer == ""
        assert stored(bus)[b"status"] == b"canceled"


def test_a_loss_before_the_job_was_admitted_does_not_count(bus: notify.Bus) -> None:
    lose(bus)
    seen: Any = bus.redis.hget(bus.keys.losses, "svc")
    with bus.service("svc"):
        put(bus, "queued", **needing(int(seen)))
        push(bus, "j")
        assert claim_next(bus).answer == "started"


@pytest.mark.parametrize("needs", ["not json", "[]", "3", '{"svc": "x"}', '{"svc": null}'])
def test_needs_that_cannot_be_read_break_no_claim(bus: notify.Bus, needs: str) -> None:
    with bus.service("svc"):
        put(bus, "queued", needs=needs)
        push(bus, "j")
        assert claim_next(bus).answer == "started"


def test_a_job_key_that_is_no_hash_is_passed_over(bus: notify.Bus, queue: Queue) -> None:
    bus.redis.set(rq_keys.job("j"), "a stranger's")
    push(bus, "j")
    job = queue.enqueue(add)
    assert claim_next(bus).job_id == job.id


@pytest.mark.parametrize("job_id", [b"a:b", b"a b", b"\xff", b"", "ü".encode()])
def test_an_id_that_rq_would_not_take_is_passed_over(bus: notify.Bus, queue: Queue, job_id: bytes) -> None:
    bus.redis.hset(b"rq:job:" + job_id, mapping=STATES["queued"])
    bus.redis.rpush(queue.key, job_id)
    job = queue.enqueue(add, job_id="A_fine-1d")
    assert claim_next(bus).job_id == job.id
    bus.redis.delete(b"rq:job:" + job_id)


def test_suspended_workers_take_nothing(bus: notify.Bus, queue: Queue) -> None:
    queue.enqueue(add)
    rq.suspension.suspend(bus.redis, ttl=10)
    assert claim_next(bus).answer == "suspended"
    assert queue.count == 1


def test_one_claim_passes_over_a_limited_number_of_deleted_jobs(bus: notify.Bus) -> None:
    push(bus, *(f"gone-{number}" for number in range(501)))
    assert [claim_next(bus).answer for _ in range(3)] == ["more", "more", ""]


def test_a_claim_whose_answer_was_lost_gives_the_same_job_again(bus: notify.Bus, queue: Queue) -> None:
    Queue("other", connection=bus.redis).enqueue(add)
    first, second = queue.enqueue(add), queue.enqueue(add)
    claims = [claim_next(bus, "none", "work", "other", fence="f", again=again) for again in (False, True)]
    assert [(claim.answer, claim.queue, claim.job_id) for claim in claims] == [("started", 1, first.id)] * 2
    assert claim_next(bus, fence="g", again=True).job_id == second.id


def test_an_end_whose_answer_was_lost_is_recorded_once(bus: notify.Bus, queue: Queue) -> None:
    job = queue.enqueue(add)
    end = ended(claim_next(bus))
    assert [record(bus, end, again=again) for again in (False, True)] == ["finished"] * 2
    assert len(job.results()) == 1
    assert bus.redis.hget(rq_keys.worker("w"), "successful_job_count") == b"1"


def test_an_end_is_recorded_as_rq_records_it(bus: notify.Bus, queue: Queue) -> None:
    job = queue.enqueue(add, "x", result_ttl=77)
    assert record(bus, ended(claim_next(bus), result=b"Ingi")) == "finished"

    plain = rq.Queue("work", connection=bus.redis, serializer="json")
    theirs = plain.enqueue("tests.workers.scripts.test_claim.say_x", "x", result_ttl=77)
    worker = rq.SimpleWorker([plain], connection=bus.redis.clone(name="rq"), serializer="json")
    taken: Any = worker.dequeue_job_and_maintain_ttl(None)
    worker.execute_job(*taken)
    worker.connection.close()

    ours_now, theirs_now = (bus.redis.hgetall(each.key) for each in (job, theirs))
    own = {b"fence", b"sealed", b"failure_ttl", b"turn"}
    assert {key for key in ours_now if ours_now[key]} - own == {key for key in theirs_now if theirs_now[key]}
    assert [bus.redis.ttl(each.key) for each in (job, theirs)] == [77, 77]
    fetched = Job.fetch(job.id, connection=bus.redis)
    results = [each.latest_result() for each in (fetched, theirs)]
    assert [result.return_value for result in results if result] == ["x", "x"]
    assert [(result.type, bus.redis.ttl(rq_keys.results(result.job_id))) for result in results if result] == [
        (rq.results.Result.Type.SUCCESSFUL, 77)
    ] * 2
    assert results[0] is not None
    assert (results[0].worker_name, results[0].execution_id) == ("w", "new")
    assert set(queue.finished_job_registry.get_job_ids()) == {job.id, theirs.id}
    assert (queue.started_job_registry.get_job_ids(), fetched.get_executions()) == ([], [])
    counted: Any = bus.redis.hgetall(rq_keys.worker("w"))
    assert (counted[b"successful_job_count"], counted[b"total_working_time"]) == (b"1", b"2.5")
    assert not bus.redis.exists(rq_keys.execution(f"{job.id}:new"))


def say_x(field: str) -> str:
    return field


@pytest.mark.parametrize(("ttl_s", "lives"), [(-1, -1), (None, 500)])
def test_results_live_as_long_as_the_job_or_else_the_worker_says(bus: notify.Bus, queue: Queue, ttl_s: Any, lives: int) -> None:
    job = queue.enqueue(add, result_ttl=ttl_s)
    record(bus, ended(claim_next(bus)))
    assert (bus.redis.ttl(job.key), bus.redis.ttl(rq_keys.results(job.id))) == (lives, lives)
    assert job.id in queue.finished_job_registry


@pytest.mark.parametrize("state", [state for state in STATES if state not in ("running", "sealed", "finished")])
def test_only_the_run_that_has_the_job_finishes_it(bus: notify.Bus, state: str) -> None:
    put(bus, "queued")
    push(bus, "j")
    end = ended(claim_next(bus, fence="mine"))
    bus.redis.delete(rq_keys.job("j"))
    before = put(bus, state)
    if state in ("failed",):
        before = put(bus, state, fence="mine")
    claim = claim_next(bus, ended=end)
    assert (claim.ended, claim.answer) == ("refused", "")
    assert stored(bus) == before


def test_after_a_refused_end_nothing_is_taken(bus: notify.Bus, queue: Queue) -> None:
    first, second = queue.enqueue(add), queue.enqueue(add)
    end = ended(claim_next(bus))
    JobScripts(bus.redis).stop_run(first.id, reason="why")
    assert claim_next(bus, ended=end).answer == ""
    assert queue.get_job_ids() == [second.id]


def test_an_end_that_others_wait_for_is_left_to_rq(bus: notify.Bus, queue: Queue) -> None:
    first = queue.enqueue(add)
    queue.enqueue(add, depends_on=first)
    claim = claim_next(bus, ended=ended(claim_next(bus)))
    assert (claim.ended, claim.answer) == ("dependents", "")
    assert first.get_status() == "started"


TAKE_AND_DIE = """
import os, signal, sys, notify, rq
from rq.registry import StartedJobRegistry
with notify.connect(sys.argv[1]) as bus:
    {take}
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("queues", [("work",), ("more", "work")])
def test_a_worker_that_is_killed_between_taking_and_starting_a_job_does_not_lose_it(
    bus: notify.Bus, queue: Queue, server: Any, queues: tuple[str, ...]
) -> None:
    """Experiment 23."""
    job = queue.enqueue(add, retry=rq.Retry(max=1))
    take = f"from tests.workers.conftest import claim_next; claim_next(bus, *{queues})"
    assert die(TAKE_AND_DIE.format(take=take), server.url) == -signal.SIGKILL
    assert (job.get_status(), queue.started_job_registry.get_job_ids()) == ("started", [job.id])
    queue.started_job_registry.cleanup(timestamp=2_000_000_000_000)
    assert (job.get_status(), queue.get_job_ids()) == ("queued", [job.id])


@pytest.mark.any_server
def test_plain_rq_loses_a_job_when_a_worker_of_two_queues_is_killed_as_it_takes_it(bus: notify.Bus, server: Any) -> None:
    """Experiment 23, without our claim."""
    plain = rq.Queue("work", connection=bus.redis, serializer="json")
    job = plain.enqueue("tests.workers.scripts.test_claim.say_x", "x", retry=rq.Retry(max=1))
    take = "rq.Queue.dequeue_any([rq.Queue(n, connection=bus.redis) for n in ('more', 'work')], 1, bus.redis, serializer='json')"
    assert die(TAKE_AND_DIE.format(take=take), server.url) == -signal.SIGKILL
    plain.started_job_registry.cleanup(timestamp=2_000_000_000_000)
    assert (job.get_status(), plain.get_job_ids(), plain.intermediate_queue.get_job_ids()) == ("queued", [], [])


def die(program: str, url: str) -> int:
    return subprocess.run([sys.executable, "-c", program, url], check=False, timeout=30).returncode


def test_a_loss_that_was_over_when_a_job_started_does_not_stop_it_later(bus: notify.Bus) -> None:
    """The job would have been held, but its service was back before the loss was dealt with."""
    with bus.service("svc"):
        Queue("work", connection=bus.redis).enqueue(add, needs="svc", on_loss="hold")
    with bus.service("svc"):
        claim = claim_next(bus)
        assert claim.answer == "started"
        assert JobScripts(bus.redis).check_run(claim.job_id, fence=claim.fence).may_run
