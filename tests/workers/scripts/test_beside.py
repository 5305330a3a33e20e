"""The claims of jobs that run side by side: only of their functions, as many as there is room for, in the order of the queue."""

from typing import Any

import pytest

import notify
from tests.support.async_jobs import hold_beside, hold_in_pairs, hold_with_svc, in_turn
from tests.support.queued_jobs import waiting
from workers import Queue, rq_keys
from workers.scripts import ClaimScripts, Fences, Refill, RefillCall, Run, runs_in

PATH = "tests.support.async_jobs."
BESIDE, PAIRS, SVC = PATH + "hold_beside", PATH + "hold_in_pairs", PATH + "hold_with_svc"
KEY = rq_keys.queue("work")
FENCES = Fences()


@pytest.fixture
def claims(bus: notify.Bus) -> ClaimScripts:
    return ClaimScripts(bus.redis, "w", heartbeat_s=30, idle_s=480, result_ttl_s=500)


def refill(claims: ClaimScripts, rooms: dict[str, int], *, beside: bool = True, line: Any = ()) -> Refill:
    number = FENCES.take(8)
    return claims.refill(RefillCall([KEY], ended=[], line=line, wanted=8, fences=FENCES, number=number, rooms=rooms, beside=beside))


def test_a_refill_takes_as_many_calls_of_each_function_as_there_is_room_for(queue: Queue, claims: ClaimScripts) -> None:
    made = [queue.enqueue(function, "x").id for function in (hold_beside, hold_in_pairs, hold_beside, hold_in_pairs, hold_beside)]
    answer = refill(claims, {BESIDE: 10, PAIRS: 1})
    assert [claim.job_id for claim in answer.claims] == made[:3]
    assert waiting(queue) == made[3:]
    assert refill(claims, {BESIDE: 10, PAIRS: 0}).answer == "full"


def test_a_job_of_another_kind_is_not_passed_over(queue: Queue, claims: ClaimScripts) -> None:
    made = [queue.enqueue(function, "x").id for function in (hold_beside, in_turn, hold_beside)]
    assert [claim.job_id for claim in refill(claims, {BESIDE: 10}).claims] == made[:1]
    assert refill(claims, {BESIDE: 10}).answer == "alone"
    claim = claims.claim([KEY], fence="f", ended=None, rooms={BESIDE: 10}, line=[Run("i", "e")])
    assert (claim.answer, waiting(queue)) == ("other", made[1:])


def test_jobs_that_run_in_turn_are_not_claimed_together_with_others(queue: Queue, claims: ClaimScripts) -> None:
    made = [queue.enqueue(function, "x").id for function in (in_turn, hold_beside)]
    assert [claim.job_id for claim in refill(claims, {BESIDE: 0}, beside=False).claims] == made[:1]
    assert refill(claims, {BESIDE: 0}, beside=False).answer == "alone"


def test_a_claim_beside_other_runs_keeps_them_and_is_answered_the_same_again(bus: notify.Bus, queue: Queue, claims: ClaimScripts) -> None:
    line = [Run("i", "e"), Run("h", "d")]
    with bus.service("svc"):
        job = queue.enqueue(hold_with_svc, "n")
        fence = FENCES.fence(FENCES.take())
        found = [claims.claim([KEY], fence=fence, ended=None, line=line, rooms={SVC: 1}, again=again) for again in (False, True)]
    assert [(claim.answer, claim.job_id) for claim in found] == [("started", job.id)] * 2
    assert runs_in(bus.redis.hget(rq_keys.worker("w"), "ahead")) == [*line, Run(job.id, fence)]  # type: ignore[arg-type]


def test_a_claim_that_finds_none_keeps_the_runs_that_go_on(bus: notify.Bus, claims: ClaimScripts) -> None:
    line = [Run("i", "e"), Run("h", "d")]
    assert claims.claim([KEY], fence="f", ended=None, line=line, rooms={BESIDE: 1}).answer == ""
    known: Any = bus.redis.hmget(rq_keys.worker("w"), "current_job", "ahead")
    assert (known[0], runs_in(known[1])) == (b"i", line)
