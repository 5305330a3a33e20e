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
