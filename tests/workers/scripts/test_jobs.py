"""The atomic steps of a job, in every state that they can meet."""

from typing import Any

import msgspec
import pytest

import notify
from tests.support.faults import commands_during
from workers import rq_keys
from workers.scripts.jobs import JobScripts
from workers.scripts.run import RunCheck

STATES: dict[str, dict[str, str]] = {
    "missing": {},
    "queued": {"status": "queued"},
    "deferred": {"status": "deferred"},
    "scheduled": {"status": "scheduled"},
    "running": {"status": "started", "fence": "mine"},
    "run by another": {"status": "started", "fence": "another"},
    "sealed": {"status": "started", "fence": "mine", "sealed": "1"},
    "stopped": {"status": "stopped", "stopped": "mine"},
    "finished": {"status": "finished", "fence": "mine", "sealed": "1"},
    "failed": {"status": "failed", "fence": "mine", "sealed": "1"},
    "canceled": {"status": "canceled"},
}


@pytest.fixture
def scripts(bus: notify.Bus) -> JobScripts:
    return JobScripts(bus.redis)


def put(bus: notify.Bus, state: str, **fields: str) -> dict[bytes, bytes]:
    """Put a job into a state. Returns it as it is stored."""
    if STATES[state]:
        bus.redis.hset(rq_keys.job("j"), mapping={**STATES[state], **fields})
    return stored(bus)


def stored(bus: notify.Bus) -> Any:
    return bus.redis.hgetall(rq_keys.job("j"))


def needing(serial: int) -> dict[str, str]:
    return {"needs": msgspec.json.encode({"svc": serial}).decode(), "on_loss": "cancel"}


def lose(bus: notify.Bus) -> None:
    with bus.service("svc"):
        pass


@pytest.mark.parametrize("state", STATES)
def test_only_waiting_jobs_are_cancelled_when_asked(bus: notify.Bus, scripts: JobScripts, state: str) -> None:
    waits = state in ("queued", "deferred", "scheduled")
    before = put(bus, state, origin="work", **needing(0))
    bus.redis.zadd(bus.keys.needs("svc"), {"j": 1})
    bus.redis.rpush(rq_keys.queue("work"), "i", "j")
    assert scripts.cancel(["j"], reason="why") == int(waits)
    assert (stored(bus) == before) == (not waits)
    assert bus.redis.zcard(bus.keys.needs("svc")) == int(not waits)
    assert bus.redis.lrange(rq_keys.queue("work"), 0, -1) == ([b"i"] if waits else [b"i", b"j"])
    bus.redis.delete(bus.keys.needs("svc"))


def test_only_jobs_of_the_queue_that_was_named_are_cancelled(bus: notify.Bus, scripts: JobScripts) -> None:
    put(bus, "queued", origin="work")
    assert scripts.cancel(["j"], reason="why", queue="another") == 0
    assert scripts.cancel(["j"], reason="why", queue="work") == 1


def test_compacting_a_queue_keeps_waiting_jobs_in_their_order(bus: notify.Bus, scripts: JobScripts) -> None:
    """The list has several parts, and jobs to be taken out at both ends of each."""
    listed = [f"{'go' if number % 7 in (0, 6) else 'stay'}-{number}" for number in range(2_500)]
    with bus.redis.pipeline() as pipe:
        for job_id in listed:
            pipe.hset(rq_keys.job(job_id), "status", "queued" if job_id.startswith("stay") else "canceled")
        pipe.rpush(rq_keys.queue("work"), *listed)
        pipe.execute()
    scripts.compact_queue("nothing")  # loads it
    commands = commands_during(bus.redis, lambda: scripts.compact_queue("work"))
    assert len(commands) == 3, "three parts, each looked at once"
    left: Any = bus.redis.lrange(rq_keys.queue("work"), 0, -1)
    assert [job_id.decode() for job_id in left] == [job_id for job_id in listed if job_id.startswith("stay")]


@pytest.mark.parametrize(
    ("state", "cancelled", "stays"),
    [
        ("missing", 0, 0),
        ("queued", 1, 0),
        ("deferred", 0, 1),
        ("scheduled", 0, 1),
        ("running", 0, 0),
        ("stopped", 0, 0),
        ("finished", 0, 0),
        ("canceled", 0, 0),
    ],
)
def test_a_loss_cancels_only_queued_jobs_at_once(bus: notify.Bus, scripts: JobScripts, state: str, cancelled: int, stays: int) -> None:
    """A deferred or scheduled job is checked when its time has come."""
    before = put(bus, state, **(needing(0) if STATES[state] else {}))
    bus.redis.zadd(bus.keys.needs("svc"), {"j": 1})
    lost = scripts.apply_loss("svc", passed=0, count=10)
    assert (lost.looked_at, lost.cancelled, lost.held, lost.waiting) == (1, cancelled, 0, stays)
    assert (stored(bus) == before) == (not cancelled)
    assert bus.redis.zcard(bus.keys.needs("svc")) == stays
    bus.redis.delete(bus.keys.needs("svc"))


def test_a_job_that_lost_nothing_keeps_waiting(bus: notify.Bus, scripts: JobScripts) -> None:
    with bus.service("svc"):
        before = put(bus, "queued", **needing(0))
        bus.redis.zadd(bus.keys.needs("svc"), {"j": 1})
        lost = scripts.apply_loss("svc", passed=0, count=10)
        assert (lost.cancelled, lost.held, lost.waiting, lost.queues, stored(bus)) == (0, 0, 1, [], before)
    bus.redis.delete(bus.keys.needs("svc"))


@pytest.mark.parametrize("needs", ["not json", "[]", "3", '{"svc": "x"}', '{"svc": null}'])
def test_needs_that_cannot_be_read_break_no_script(bus: notify.Bus, scripts: JobScripts, needs: str) -> None:
    with bus.service("svc"):
        put(bus, "queued", needs=needs)
        bus.redis.zadd(bus.keys.needs("svc"), {"j": 1})
        scripts.apply_loss("svc", passed=0, count=10)
        scripts.cancel(["j"], reason="why")
        bus.redis.delete(rq_keys.job("j"), bus.keys.needs("svc"))
        put(bus, "running", needs=needs)
        scripts.check_run("j", fence="mine")


@pytest.mark.parametrize(
    ("state", "answer"),
    [
        ("missing", "missing"),
        ("queued", "queued"),
        ("running", "stopped"),
        ("run by another", "stopped"),
        ("sealed", "ending"),
        ("stopped", "stopped"),
        ("finished", "finished"),
        ("failed", "failed"),
        ("canceled", "canceled"),
    ],
)
def test_only_a_running_job_that_has_not_decided_its_end_is_stopped(bus: notify.Bus, scripts: JobScripts, state: str, answer: str) -> None:
    before = put(bus, state)
    assert scripts.stop_run("j", reason="why") == answer
    assert (stored(bus) == before) == ("run" not in state)


@pytest.mark.parametrize(("state", "may"), [(state, state in ("running", "sealed")) for state in STATES])
def test_only_the_run_that_has_the_job_decides_its_end(bus: notify.Bus, scripts: JobScripts, state: str, may: bool) -> None:
    before = put(bus, state)
    assert scripts.seal_run("j", fence="mine") == may
    assert may or stored(bus) == before


@pytest.mark.parametrize(("state", "has"), [(state, state in ("running", "run by another", "sealed", "stopped")) for state in STATES])
def test_a_worker_has_a_job_until_it_knows_that_it_was_stopped(bus: notify.Bus, scripts: JobScripts, state: str, has: bool) -> None:
    """A command to stop can arrive before the answer to the claim: `Job.cancel` has marked the job by then."""
    put(bus, state, worker_name="w")
    assert scripts.is_run_by("w", "j") == has
    assert not scripts.is_run_by("another", "j")


def test_the_first_of_seal_and_stop_decides_the_end_of_a_run(bus: notify.Bus, scripts: JobScripts) -> None:
    put(bus, "running")
    assert scripts.seal_run("j", fence="mine")
    assert scripts.stop_run("j", reason="why") == "ending"
    put(bus, "running")
    bus.redis.hdel(rq_keys.job("j"), "sealed")
    assert scripts.stop_run("j", reason="why") == "stopped"
    assert not scripts.seal_run("j", fence="mine")


@pytest.mark.parametrize(
    ("state", "answer"),
    [
        ("missing", RunCheck(may_run=True)),
        ("running", RunCheck(may_run=False, lost="svc")),
        ("run by another", RunCheck(may_run=False, superseded=True)),
        ("sealed", RunCheck(may_run=True)),
        ("stopped", RunCheck(may_run=False)),
        ("finished", RunCheck(may_run=True)),
        ("failed", RunCheck(may_run=True)),
    ],
)
def test_a_run_that_lost_its_service_may_not_go_on_unless_its_end_is_decided(
    bus: notify.Bus, scripts: JobScripts, state: str, answer: RunCheck
) -> None:
    put(bus, state, **needing(0))
    assert scripts.check_run("j", fence="mine") == answer


@pytest.mark.parametrize(
    ("on_loss", "answer"),
    [("cancel", RunCheck(may_run=False, lost="svc")), ("drain", RunCheck(may_run=True)), ("ignore", RunCheck(may_run=True))],
)
def test_the_policy_decides_what_a_loss_does_to_a_run(bus: notify.Bus, scripts: JobScripts, on_loss: str, answer: RunCheck) -> None:
    put(bus, "running", **{**needing(0), "on_loss": on_loss})
    assert scripts.check_run("j", fence="mine") == answer


def test_a_run_is_marked_as_stopped_once_and_reported_as_such_again(bus: notify.Bus, scripts: JobScripts) -> None:
    put(bus, "running", **needing(0))
    assert scripts.check_run("j", fence="mine").lost == "svc"
    marked = stored(bus)
    assert scripts.check_run("j", fence="mine").was_stopped
    assert scripts.stop_run("j", reason="again") == "stopped"
    assert stored(bus) == marked
    assert msgspec.json.decode(marked[b"outcome"])["reason"] == "svc is gone"


def test_a_run_whose_service_is_there_may_continue(bus: notify.Bus, scripts: JobScripts) -> None:
    with bus.service("svc"):
        put(bus, "running", **needing(0))
        assert scripts.check_run("j", fence="mine").may_run
