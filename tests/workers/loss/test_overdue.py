"""Jobs whose service is overdue: silent for its whole ttl, and not withdrawn yet, because nobody sweeps or because of a grace."""

from collections.abc import Callable
from typing import Any

import pytest

import notify
from notify.directory.scripts import Beat, DirectoryScripts
from notify.errors import ServerUnreachableError
from notify.testing import wait_until
from tests.support.faults import let_pass, server_ms
from tests.support.lua import patch_script
from tests.support.processes import Process
from tests.support.sample_jobs import add, add_when_svc_is_there, add_with_svc
from tests.workers.conftest import Effects, StartWorkers, claim_next
from workers import Job, Outcome, Queue, Stake, explain, preview_loss, rq_keys
from workers.jobs.requirements import target_of
from workers.loss.watcher import LossWatcher
from workers.scripts.jobs import JobScripts

TTL_S = 5.0
NEEDS = ["svc", "any print"]


def register(bus: notify.Bus, name: str = "svc") -> Beat:
    """Register a service that sends no heartbeat by itself."""
    incarnation = DirectoryScripts(bus.redis).register(name, ttl_ms=5000, provides=["print"], groups=[], fields={})
    assert incarnation is not None
    return Beat(name, incarnation, 5000)


def withdraw(bus: notify.Bus, beat: Beat) -> None:
    bus.directory.withdraw(beat.name, beat.incarnation, reason="killed")


def status(job: Job) -> str:
    return str(job.get_status().value)


@pytest.mark.any_server
def test_the_first_worker_after_a_silent_night_runs_no_job_whose_service_is_dead(
    bus: notify.Bus,
    server: Any,
    queue: Queue,
    start: Callable[..., Process],
    start_workers: StartWorkers,
    effects: Effects,
) -> None:
    """Experiment 26: nobody swept since the service was killed. The jobs end by their policy, and another one runs meanwhile."""
    process = start("unswept_worker", server.url, "svc", "0.5")
    process.told()
    to_end = [queue.enqueue(add_with_svc, "night") for _ in range(16)]
    to_hold = [queue.enqueue(add_when_svc_is_there, "night") for _ in range(16)]
    other = queue.enqueue(add, "other")
    process.kill()
    let_pass(bus, 3600, swept=False)
    assert [status(job) for job in (*to_end, *to_hold)] == ["queued"] * 32
    start_workers()
    assert other.wait(15) == Outcome("finished")
    wait_until(lambda: all(status(job) == "canceled" for job in to_end), timeout_s=15, what="the end of the jobs")
    wait_until(lambda: all(status(job) == "deferred" for job in to_hold), timeout_s=15, what="the hold of the jobs")
    assert effects["night"] == 0


@pytest.mark.parametrize("need", NEEDS)
@pytest.mark.parametrize("checks", [True, False], ids=["", "the twin without the deadline"])
def test_no_claim_starts_a_job_whose_service_is_overdue(
    bus: notify.Bus, queue: Queue, monkeypatch: pytest.MonkeyPatch, checks: bool, need: str
) -> None:
    """Experiment 26, after 1, 2 and 12 ttls; the twin starts the jobs."""
    if not checks:
        patch_script(monkeypatch, "claim", "if overdue then return false, overdue end", "")
    beat = register(bus)
    jobs = [queue.enqueue(add, needs=target_of(need)) for _ in range(3)]
    answers = []
    for ttls in (1, 1, 10):
        let_pass(bus, ttls * TTL_S, swept=False)
        claim = claim_next(bus, fence=f"f{len(answers)}")
        answers.append((claim.answer, claim.overdue))
    assert answers == ([("", "svc")] * 3 if checks else [("started", "")] * 3)
    assert [status(job) for job in jobs] == (["queued"] * 3 if checks else ["started"] * 3)
    withdraw(bus, beat)


def test_jobs_behind_one_that_waits_start_and_it_keeps_its_place(bus: notify.Bus, queue: Queue) -> None:
    beat = register(bus)
    first, second = (queue.enqueue(add_with_svc) for _ in range(2))
    ignoring = queue.enqueue(add, needs="svc", on_loss="ignore")
    other = queue.enqueue(add)
    let_pass(bus, TTL_S, swept=False)
    claims = [claim_next(bus, fence=f"a{number}") for number in range(3)]
    assert [(claim.job_id, claim.overdue) for claim in claims] == [(ignoring.id, "svc"), (other.id, "svc"), ("", "svc")]
    assert queue.get_job_ids() == [first.id, second.id]
    assert DirectoryScripts(bus.redis).beat([beat]) == ["alive"]
    assert [claim_next(bus, fence=f"b{number}").job_id for number in range(3)] == [first.id, second.id, ""]
    withdraw(bus, beat)


def test_a_claim_looks_at_a_limited_number_of_jobs_that_wait(bus: notify.Bus, queue: Queue) -> None:
    beat = register(bus)
    queue.enqueue_many([Queue.prepare_data(add_with_svc) for _ in range(250)])
    queue.enqueue(add)
    low = Queue("low", connection=bus.redis).enqueue(add)
    let_pass(bus, TTL_S, swept=False)
    claim = claim_next(bus, "work", "low")
    assert (claim.job_id, claim.overdue, queue.count) == (low.id, "svc", 251)
    withdraw(bus, beat)


@pytest.mark.parametrize(("policy", "swept", "expected"), [
    ("cancel", True, "canceled"),
    ("hold", True, "deferred"),
    ("cancel", False, "queued"),
    ("hold", False, "queued"),
])  # fmt: skip
def test_enqueueing_withdraws_an_overdue_service_or_waits_for_its_grace(
    bus: notify.Bus, queue: Queue, policy: Any, swept: bool, expected: str
) -> None:
    beat = register(bus)
    let_pass(bus, TTL_S, swept=swept)
    job = queue.enqueue(add, needs="svc", on_loss=policy)
    assert (job.get_status(refresh=False).value, status(job)) == (expected, expected)
    assert queue.get_job_ids() == ([job.id] if expected == "queued" else [])
    assert bool(bus.redis.sismember(bus.keys.services, "svc")) is not swept
    if expected == "canceled":
        assert job.outcome is not None
        assert (job.outcome.need, job.outcome.reason) == ("svc", "svc was not there when it was enqueued")
    withdraw(bus, beat)


def test_a_run_goes_on_while_its_service_is_overdue_and_ends_with_the_withdrawal(bus: notify.Bus, queue: Queue) -> None:
    beat = register(bus)
    scripts = JobScripts(bus.redis)
    job = queue.enqueue(add_with_svc)
    run = claim_next(bus).run
    let_pass(bus, TTL_S, swept=False)
    found = scripts.check_run(job.id, fence=run.fence)
    assert (found.may_run, found.overdue, found.lost) == (True, "svc", "")
    withdraw(bus, beat)
    assert scripts.check_run(job.id, fence=run.fence).lost == "svc"


def test_held_jobs_are_released_by_a_heartbeat_and_not_by_an_overdue_service(bus: notify.Bus, queue: Queue) -> None:
    job = queue.enqueue(add_when_svc_is_there)
    assert status(job) == "deferred"
    beat = register(bus)
    let_pass(bus, TTL_S, swept=False)
    scripts = JobScripts(bus.redis)
    assert scripts.release_held("work", "svc", first=8, most=8) == (0, 1, False)
    DirectoryScripts(bus.redis).beat([beat])
    assert scripts.release_held("work", "svc", first=8, most=8) == (1, 0, True)
    withdraw(bus, beat)


def test_jobs_wait_through_a_grace_and_run_when_the_service_sends_a_heartbeat(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    beat = register(bus)
    job = queue.enqueue(add_with_svc, "late")
    let_pass(bus, TTL_S, swept=False)
    start_workers()
    assert queue.enqueue(add, "meanwhile").wait(15) == Outcome("finished")
    assert (effects["late"], status(job)) == (0, "queued")
    assert DirectoryScripts(bus.redis).beat([beat]) == ["alive"]
    beaten_ms = server_ms(bus.redis)
    assert job.wait(10) == Outcome("finished")
    assert server_ms(bus.redis) - beaten_ms < 3_000
    withdraw(bus, beat)


def test_explanation_and_preview_judge_by_the_deadline_too(bus: notify.Bus, queue: Queue) -> None:
    beat, other = register(bus), register(bus, "other")
    by_name, by_capability = queue.enqueue(add_with_svc), queue.enqueue(add, needs=notify.provides("print"))
    assert [stake.waiting for stake in preview_loss(bus.redis, "svc")] == [1]
    let_pass(bus, TTL_S, swept=False)
    bus.redis.sadd(rq_keys.workers("work"), "w")
    for job, need in ((by_name, "svc"), (by_capability, "any print")):
        text = explain(bus, job)
        assert f"It needs {need} (overdue: svc is silent for 5 s, its ttl is 5 s)" in text
        assert "and waits for a heartbeat of svc or for its withdrawal; one worker listens." in text
    DirectoryScripts(bus.redis).beat([beat])
    assert preview_loss(bus.redis, "svc") == [Stake("work", "cancel", waiting=2, running=0)], "the other provider is overdue"
    for registered in (beat, other):
        withdraw(bus, registered)


def test_a_loss_that_could_not_be_applied_is_applied_when_the_server_is_back(
    bus: notify.Bus, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied: list[str] = []
    really = LossWatcher.apply_loss

    def fail_once(watcher: LossWatcher, need: str) -> int:
        applied.append(need)
        if len(applied) == 1:
            raise ServerUnreachableError("gone for a moment")
        return really(watcher, need)

    with bus.service("svc"):
        job = queue.enqueue(add_with_svc)
        watcher = LossWatcher(bus.redis, lambda run, found: None)
        monkeypatch.setattr(LossWatcher, "_reconcile", lambda _: None)
        monkeypatch.setattr(LossWatcher, "apply_loss", fail_once)
        watcher.open()
    try:
        wait_until(lambda: status(job) == "canceled", timeout_s=5, what="the end of the job")
    finally:
        watcher.close()
    assert applied == ["svc", "svc"]
