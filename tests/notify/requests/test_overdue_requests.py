"""Requests to an overdue service: none is sent to it, it begins none, and none is lost."""

import threading

import pytest

import notify
from notify import ServiceNotFoundError
from notify.directory.scripts import Beat, DirectoryScripts
from notify.keys import due_member
from notify.requests.message import Request, encode_request
from notify.requests.scripts import GONE, OVERDUE, RequestScripts
from notify.testing import wait_until
from tests.support.faults import beat, let_pass, server_ms
from tests.support.lua import patch_script

WORK = notify.provides("work")


class Desk:
    def __init__(self) -> None:
        self.ran: list[object] = []

    def work(self, what: object = None) -> object:
        self.ran.append(what)
        return what


def _silence(bus: notify.Bus, service: notify.Service) -> None:
    """Let the heartbeat of one service be overdue, and that of no other."""
    bus.redis.hincrby(bus.keys.service(service.name), "beat_ms", -3_700_000)


def test_a_cached_service_that_becomes_overdue_is_called_no_more(bus, another_bus):
    with bus.service("a", exports=Desk(), ttl_s=3_600) as first, bus.service("b", exports=Desk(), ttl_s=3_600):
        assert another_bus.call("a", "work", 1) == another_bus.call(WORK, "work", 1) == 1
        _silence(bus, first)
        assert [another_bus.call(WORK, "work", number) for number in range(4)] == [0, 1, 2, 3]
        with pytest.raises(ServiceNotFoundError, match="'a' is registered, but silent"):
            another_bus.call("a", "work")
        beat(first)
        assert another_bus.call("a", "work", 2) == 2


@pytest.mark.parametrize("checks", [True, False], ids=["", "the twin without the deadline"])
def test_no_request_is_sent_to_an_overdue_service(bus, monkeypatch, checks):
    if not checks:
        _without_deadline(monkeypatch, "send")
    incarnation = DirectoryScripts(bus.redis).register("s", ttl_ms=60_000, provides=[], groups=[], fields={})
    scripts = RequestScripts(bus.redis)
    assert scripts.send("s", incarnation, b"{}", timeout_s=5) != GONE
    let_pass(bus, 61)
    assert (scripts.send("s", incarnation, b"{}", timeout_s=5) == GONE) is checks
    bus.redis.flushall()


@pytest.mark.parametrize("checks", [True, False], ids=["", "the twin without the deadline"])
def test_an_overdue_service_takes_no_request_and_leaves_it_waiting(bus, monkeypatch, checks):
    if not checks:
        _without_deadline(monkeypatch, "take")
    incarnation = DirectoryScripts(bus.redis).register("s", ttl_ms=60_000, provides=[], groups=[], fields={})
    scripts, deadline_ms = RequestScripts(bus.redis), server_ms(bus.redis) + 30_000
    entry = scripts.send("s", incarnation, b"{}", timeout_s=30)
    let_pass(bus, 61)
    assert (scripts.take("s", incarnation, entry, deadline_ms=deadline_ms) == OVERDUE) is checks
    if checks:
        DirectoryScripts(bus.redis).beat([Beat("s", incarnation, 60_000)])
        assert 0 < scripts.take("s", incarnation, entry, deadline_ms=deadline_ms) <= 30
    assert scripts.take("s", incarnation, entry, deadline_ms=deadline_ms) == 0
    bus.redis.flushall()


def test_a_late_request_to_an_overdue_service_is_removed(bus):
    incarnation = DirectoryScripts(bus.redis).register("s", ttl_ms=60_000, provides=[], groups=[], fields={})
    scripts = RequestScripts(bus.redis)
    entry = scripts.send("s", incarnation, b"{}", timeout_s=30)
    let_pass(bus, 61)
    assert scripts.take("s", incarnation, entry, deadline_ms=server_ms(bus.redis) - 1) == 0
    assert bus.redis.xlen(bus.keys.requests(due_member("s", incarnation))) == 0
    bus.redis.flushall()


def test_a_waiting_request_runs_after_the_heartbeat_of_its_service(bus, monkeypatch):
    desk, asked = Desk(), threading.Semaphore(0)
    take = RequestScripts.take

    def count(*args: object, **how: object) -> float:
        asked.release()
        return take(*args, **how)

    monkeypatch.setattr(RequestScripts, "take", count)
    with bus.service("s", exports=desk, ttl_s=3_600) as service:
        requests = bus.keys.requests(due_member("s", service.incarnation))
        _silence(bus, service)
        body = encode_request(Request("1", "work", [7], {}, "nobody"), max_bytes=1_000)
        bus.redis.xadd(requests, {"request": body, "deadline_ms": server_ms(bus.redis) + 30_000})
        bus.redis.expire(requests, 60)
        assert all(asked.acquire(timeout=5) for _ in range(3))
        assert (desk.ran, bus.redis.xlen(requests)) == ([], 1)
        beat(service)
        wait_until(lambda: desk.ran == [7])
        assert bus.redis.xlen(requests) == 0
    bus.redis.delete(bus.keys.answers("nobody"))


def test_the_closing_of_an_overdue_service_is_not_delayed(bus):
    with bus.service("s", exports=Desk(), ttl_s=3_600) as service:
        requests = bus.keys.requests(due_member("s", service.incarnation))
        _silence(bus, service)
        bus.redis.xadd(requests, {"request": b"{}", "deadline_ms": server_ms(bus.redis) + 30_000})
        bus.redis.expire(requests, 60)
    assert not [thread.name for thread in threading.enumerate() if thread.name == "notify-serving"]


def _without_deadline(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    patch_script(monkeypatch, script, "silent_ms < longest_ms and silent_ms >= -longest_ms", "true")
