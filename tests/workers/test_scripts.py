"""The atomic steps of a job, in every state that they can meet."""

from typing import Any

import msgspec
import pytest

import notify
from workers import rq_keys
from workers.scripts import JobScripts

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


@pytest.mark.parametrize(
    ("state", "answer"),
    [
        ("missing", "missing"),
        ("queued", "started"),
        ("deferred", "status:deferred"),
        ("scheduled", "status:scheduled"),
        ("running", "status:started"),
        ("stopped", "status:stopped"),
        ("finished", "status:finished"),
        ("failed", "status:failed"),
        ("canceled", "status:canceled"),
    ],
)
def test_only_a_queued_job_is_claimed(bus: notify.Bus, scripts: JobScripts, state: str, answer: str) -> None:
    before = put(bus, state)
    assert scripts.claim("j", "work", fence="new", worker="w", needs=[]) == answer
    if answer != "started":
        assert stored(bus) == before


def test_a_claim_writes_what_rq_would_and_its_fence(bus: notify.Bus, scripts: JobScripts) -> None:
    put(bus, "queued", outcome="{}", sealed="1", stopped="old")
    scripts.claim("j", "work", fence="new", worker="w", needs=[])
    job = stored(bus)
    assert (job[b"status"], job[b"worker_name"], job[b"fence"]) == (b"started", b"w", b"new")
    assert job[b"started_at"] == job[b"last_heartbeat"]
    assert not {b"outcome", b"sealed", b"stopped"} & set(job)


def test_a_claim_takes_the_job_out_of_the_index_whatever_the_answer(bus: notify.Bus, scripts: JobScripts) -> None:
    for state in ("missing", "queued", "canceled"):
        put(bus, state)
        bus.redis.zadd(bus.keys.needs("svc"), {"j": 1})
        scripts.claim("j", "work", fence="new", worker="w", needs=["svc"])
        assert not bus.redis.exists(bus.keys.needs("svc"))


def test_a_job_whose_service_is_gone_is_cancelled_by_the_claim(bus: notify.Bus, scripts: JobScripts) -> None:
    put(bus, "queued", **needing(0))
    assert scripts.claim("j", "work", fence="new", worker="w", needs=["svc"]) == "lost:svc"
    assert stored(bus)[b"status"] == b"canceled"
    assert scripts.claim("j", "work", fence="new", worker="w", needs=["svc"]) == "status:canceled"


def test_a_job_whose_service_came_back_is_cancelled_by_the_claim_as_well(bus: notify.Bus, scripts: JobScripts) -> None:
    lose(bus)
    with bus.service("svc"):
        put(bus, "queued", **needing(0))
        assert scripts.claim("j", "work", fence="new", worker="w", needs=["svc"]) == "lost:svc"


def test_a_loss_before_the_job_was_admitted_does_not_count(bus: notify.Bus, scripts: JobScripts) -> None:
    lose(bus)
    seen: Any = bus.redis.hget(bus.keys.losses, "svc")
    with bus.service("svc"):
        put(bus, "queued", **needing(int(seen)))
        assert scripts.claim("j", "work", fence="new", worker="w", needs=["svc"]) == "started"


@pytest.mark.parametrize(
    ("state", "cancelled", "waiting", "asked"),
    [
        ("missing", 0, 0, True),
        ("queued", 1, 0, True),
        ("deferred", 1, 0, True),
        ("scheduled", 1, 0, True),
        ("running", 0, 0, True),
        ("stopped", 0, 0, True),
        ("finished", 0, 0, True),
        ("canceled", 0, 0, True),
        ("queued", 0, 1, False),
        ("deferred", 0, 1, False),
        ("running", 0, 0, False),
    ],
)
def test_only_waiting_jobs_are_cancelled_and_those_that_lost_nothing_only_when_asked(
    bus: notify.Bus, scripts: JobScripts, state: str, cancelled: int, waiting: int, asked: bool
) -> None:
    before = put(bus, state)
    bus.redis.zadd(bus.keys.needs("svc"), {"j": 1})
    assert scripts.cancel("work", ["j"], reason="why", needs=["svc"], lost=not asked) == (cancelled, waiting)
    assert (stored(bus) == before) == (not cancelled)
    assert bus.redis.zcard(bus.keys.needs("svc")) == waiting
    bus.redis.delete(bus.keys.needs("svc"))


@pytest.mark.parametrize("needs", ["not json", "[]", "3", '{"svc": "x"}', '{"svc": null}'])
def test_needs_that_cannot_be_read_break_no_script(bus: notify.Bus, scripts: JobScripts, needs: str) -> None:
    with bus.service("svc"):
        put(bus, "queued", needs=needs)
        scripts.cancel("work", ["j"], reason="why", lost=True)
        bus.redis.delete(rq_keys.job("j"))
        put(bus, "running", needs=needs)
        scripts.verdict("j", fence="mine")


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
    assert scripts.stop("j", reason="why") == answer
    assert (stored(bus) == before) == ("run" not in state)


@pytest.mark.parametrize(("state", "may"), [(state, state in ("running", "sealed")) for state in STATES])
def test_only_the_run_that_has_the_job_decides_its_end(bus: notify.Bus, scripts: JobScripts, state: str, may: bool) -> None:
    before = put(bus, state)
    assert scripts.seal("j", fence="mine") == may
    assert may or stored(bus) == before


def test_whoever_is_first_decides_the_end(bus: notify.Bus, scripts: JobScripts) -> None:
    put(bus, "running")
    assert scripts.seal("j", fence="mine")
    assert scripts.stop("j", reason="why") == "ending"
    put(bus, "running")
    bus.redis.hdel(rq_keys.job("j"), "sealed")
    assert scripts.stop("j", reason="why") == "stopped"
    assert not scripts.seal("j", fence="mine")


@pytest.mark.parametrize(
    ("state", "answer"),
    [
        ("missing", "go on"),
        ("running", "lost:svc"),
        ("run by another", "superseded"),
        ("sealed", "go on"),
        ("stopped", "stopped"),
        ("finished", "go on"),
        ("failed", "go on"),
    ],
)
def test_a_run_that_lost_its_service_may_not_go_on_unless_its_end_is_decided(
    bus: notify.Bus, scripts: JobScripts, state: str, answer: str
) -> None:
    put(bus, state, **needing(0))
    assert scripts.verdict("j", fence="mine") == answer


@pytest.mark.parametrize(("on_loss", "answer"), [("cancel", "lost:svc"), ("drain", "go on"), ("ignore", "go on")])
def test_the_policy_judges_a_loss(bus: notify.Bus, scripts: JobScripts, on_loss: str, answer: str) -> None:
    put(bus, "running", **{**needing(0), "on_loss": on_loss})
    assert scripts.verdict("j", fence="mine") == answer


def test_a_run_is_marked_as_stopped_once_and_told_so_again(bus: notify.Bus, scripts: JobScripts) -> None:
    put(bus, "running", **needing(0))
    assert scripts.verdict("j", fence="mine") == "lost:svc"
    marked = stored(bus)
    assert scripts.verdict("j", fence="mine") == "stopped"
    assert scripts.stop("j", reason="again") == "stopped"
    assert stored(bus) == marked
    assert msgspec.json.decode(marked[b"outcome"])["reason"] == "svc is gone"


def test_a_service_that_is_there_lets_its_jobs_go_on(bus: notify.Bus, scripts: JobScripts) -> None:
    with bus.service("svc"):
        put(bus, "running", **needing(0))
        assert scripts.verdict("j", fence="mine") == "go on"
