"""The server side of requests: which methods run, when, and how often."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from notify import InvalidServiceError, RequestFailedError, RequestsFullError, ServiceWithdrawnError
from notify.keys import due_member
from notify.requests import scripts as request_scripts_module
from notify.requests import server as serving_module
from notify.requests.message import Request, encode_request
from notify.requests.scripts import GONE, RequestScripts
from notify.testing import wait_until
from tests.support.faults import server_ms


class MumbledError(Exception):
    """An error whose text cannot be read."""

    def __str__(self) -> str:
        raise LookupError


class Desk:
    """The object that is called here; it records the calls."""

    def __init__(self) -> None:
        self.ran: list[object] = []
        self.may_go_on = threading.Event()
        self.together = threading.Barrier(2)

    def note(self, what: object) -> None:
        self.ran.append(what)

    def wait(self) -> str:
        self.ran.append("wait")
        self.may_go_on.wait(10)
        return "waited"

    def meet(self) -> int:
        return self.together.wait(10)

    def odd(self) -> object:
        return {"a": range(1)}

    def large(self) -> str:
        return "x" * 70_000

    def end(self) -> None:
        raise SystemExit(3)

    def mumble(self) -> None:
        raise MumbledError


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.may_go_on.set()


def _request(method: str, *args: object) -> bytes:
    return encode_request(Request("nobody-1", method, list(args), {}, "nobody"), max_bytes=1_000)


def test_L12_exported_methods_are_capabilities_beside_declared_ones(bus, desk):
    with bus.service("desk", exports=desk, provides={"furniture"}) as service:
        assert service.info.provides == {"furniture", "end", "large", "meet", "mumble", "note", "odd", "wait"}
        assert bus.directory.find(provides="note").name == "desk"


def test_a_service_of_one_thread_runs_one_request_at_a_time(bus, another_bus, desk):
    with bus.service("desk", exports=desk), ThreadPoolExecutor() as pool:
        first = pool.submit(another_bus.call, "desk", "wait")
        wait_until(lambda: desk.ran == ["wait"])
        second = pool.submit(another_bus.call, "desk", "note", 2)
        requests = bus.keys.requests(due_member("desk", bus.directory.lookup("desk").incarnation))
        wait_until(lambda: bus.redis.xlen(requests) == 1, what="the waiting of the second request")
        assert desk.ran == ["wait"]
        desk.may_go_on.set()
        assert (first.result(5), second.result(5)) == ("waited", None)


def test_a_service_of_two_threads_runs_two_requests_at_once(bus, another_bus, desk):
    with bus.service("desk", exports=desk, threads=2), ThreadPoolExecutor() as pool:
        calls = [pool.submit(another_bus.call, "desk", "meet") for _ in range(2)]
        assert sorted(call.result(5) for call in calls) == [0, 1]


@pytest.mark.parametrize("threads", [0, -1, 65, 1.5, True, "2"])
def test_an_invalid_number_of_threads_is_refused(bus, desk, threads):
    with pytest.raises(InvalidServiceError, match=f"threads is {threads!r}"):
        bus.service("desk", exports=desk, threads=threads)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("odd", r"raised ContentsError: the result of 'odd' cannot be written as JSON: at result.a, a value of type range"),
        ("large", r"raised PayloadTooLargeError: the result of 'large' has 70.* bytes, the limit is 65536"),
        ("end", "raised SystemExit: 3"),
        ("mumble", r"raised MumbledError: \(no message: str\(\) of the error raised LookupError\)"),
    ],
)
def test_a_method_without_a_valid_result_fails_and_the_service_goes_on(bus, another_bus, desk, method, message):
    with bus.service("desk", exports=desk):
        with pytest.raises(RequestFailedError, match=message):
            another_bus.call("desk", method, timeout_s=5)
        another_bus.call("desk", "note", 1)
    assert desk.ran == [1]


def test_a_closing_service_answers_begun_requests_and_begins_no_more(bus, another_bus, desk):
    service = bus.service("desk", exports=desk).open()
    with ThreadPoolExecutor() as pool:
        begun = pool.submit(another_bus.call, "desk", "wait", timeout_s=20)
        wait_until(lambda: desk.ran == ["wait"])
        waiting = pool.submit(another_bus.call, "desk", "note", 2, timeout_s=20)
        wait_until(lambda: bus.redis.xlen(bus.keys.requests(due_member("desk", service.incarnation))) == 1)
        closing = pool.submit(service.close)
        wait_until(lambda: all(thread._reader.is_closing for thread in service._request_server._threads))
        desk.may_go_on.set()
        assert begun.result(5) == "waited"
        with pytest.raises(
            ServiceWithdrawnError, match=r"'desk' was withdrawn \(withdrawn\) before it answered 'note': the method had not begun"
        ):
            waiting.result(5)
        closing.result(5)
    assert desk.ran == ["wait"]


def test_a_stopped_service_answers_over_a_new_connection(bus, another_bus, desk):
    """It takes no more requests, and answers the one that had begun although its connection was cut."""
    with bus.service("desk", exports=desk) as service, ThreadPoolExecutor() as pool:
        begun = pool.submit(another_bus.call, "desk", "wait", timeout_s=20)
        wait_until(lambda: desk.ran == ["wait"])
        service.stop_serving()
        serving = [client["id"] for client in bus.redis.client_list() if client["name"] == "notify:serving"]
        assert [bus.redis.client_kill_filter(_id=connection) for connection in serving] == [1]
        desk.may_go_on.set()
        assert begun.result(5) == "waited"
        assert service.drain(5)
        assert "desk" in bus.directory


def test_a_method_that_does_not_end_does_not_block_closing(bus, another_bus, desk, monkeypatch):
    monkeypatch.setattr(serving_module, "DRAIN_S", 0.05)
    with ThreadPoolExecutor() as pool:
        with bus.service("desk", exports=desk):
            call = pool.submit(another_bus.call, "desk", "wait", timeout_s=20)
            wait_until(lambda: desk.ran == ["wait"])
        with pytest.raises(ServiceWithdrawnError, match="the method had begun"):
            call.result(5)
        desk.may_go_on.set()


def test_a_method_can_end_its_own_service(bus, another_bus):
    class Clerk:
        def resign(self) -> None:
            service.close()

    service = bus.service("clerk", exports=Clerk()).open()
    with suppress(ServiceWithdrawnError):  # unless the answer and the withdrawal are read together
        assert another_bus.call("clerk", "resign") is None
    assert "clerk" not in bus.directory


def test_entries_written_by_hand_are_passed_over(bus, another_bus, desk):
    with bus.service("desk", exports=desk) as service:
        requests = bus.keys.requests(due_member("desk", service.incarnation))
        late = server_ms(bus.redis) + 60_000
        for fields in ({"a": "b"}, {"request": "{", "deadline_ms": late}, {"request": _request("nothing"), "deadline_ms": late}):
            bus.redis.xadd(requests, fields)
        bus.redis.expire(requests, 60)
        another_bus.call("desk", "note", 1)
        assert desk.ran == [1]
        assert not bus.redis.xlen(requests)


def test_a_request_above_the_limit_is_refused_and_not_queued(bus, another_bus, desk, monkeypatch):
    monkeypatch.setattr(request_scripts_module, "MAX_WAITING", 2)
    with bus.service("desk", exports=desk), ThreadPoolExecutor() as pool:
        calls = [pool.submit(another_bus.call, "desk", "wait")]
        wait_until(lambda: desk.ran == ["wait"])
        calls += [pool.submit(another_bus.call, "desk", "wait") for _ in range(2)]
        requests = bus.keys.requests(due_member("desk", bus.directory.lookup("desk").incarnation))
        wait_until(lambda: bus.redis.xlen(requests) == 2)
        with pytest.raises(RequestsFullError, match="too many requests wait for desk"):
            another_bus.call("desk", "note", 1)
        desk.may_go_on.set()
        assert [call.result(5) for call in calls] == ["waited"] * 3
    assert 1 not in desk.ran


def test_a_request_begins_once_in_time_and_for_its_incarnation(bus):
    """It never begins after it was given up, after its deadline, or after its service was withdrawn."""
    scripts = RequestScripts(bus.redis)
    with bus.service("desk") as service:
        asked = ("desk", service.incarnation)
        late, member = server_ms(bus.redis) + 60_000, due_member(*asked)
        entry = scripts.send(*asked, b"{}", timeout_s=60)
        assert scripts.take(*asked, entry, deadline_ms=late, sent_to=member) > 59
        assert scripts.take(*asked, entry, deadline_ms=late, sent_to=member) == 0
        assert not scripts.give_up(*asked, entry)
        entry = scripts.send(*asked, b"{}", timeout_s=60)
        assert scripts.give_up(*asked, entry)
        assert scripts.take(*asked, entry, deadline_ms=late, sent_to=member) == 0
        entry = scripts.send(*asked, b"{}", timeout_s=60)
        assert scripts.take(*asked, entry, deadline_ms=server_ms(bus.redis) - 1, sent_to=member) == 0
        entry = scripts.send(*asked, b"{}", timeout_s=60)
    assert scripts.take(*asked, entry, deadline_ms=late, sent_to=member) == 0
    assert scripts.send(*asked, b"{}", timeout_s=60) == GONE


@pytest.mark.parametrize(("queue_of", "ran"), [("incarnation", []), ("name", ["for the one before"])])
def test_a_successor_does_not_run_requests_to_its_predecessor(bus, desk, monkeypatch, queue_of, ran):
    """The twin: it would if the stream were named by the service and not by the incarnation."""
    if queue_of == "name":
        for module in (request_scripts_module, serving_module):
            monkeypatch.setattr(module, "due_member", lambda name, _: name)
    with bus.service("desk") as first:  # it serves nothing, as if frozen; and its caller dies before the answer
        RequestScripts(bus.redis).send("desk", first.incarnation, _request("note", "for the one before"), timeout_s=60)
    with bus.service("desk", exports=desk):
        bus.call("desk", "note", "for this one")
    assert desk.ran == [*ran, "for this one"]


def test_a_waiting_request_survives_a_restart_of_the_server(own_server, connect_to, desk):
    bus, caller = connect_to(own_server), connect_to(own_server)
    with bus.service("desk", exports=desk, ttl_s=60), ThreadPoolExecutor() as pool:
        begun = pool.submit(caller.call, "desk", "wait", timeout_s=20)
        wait_until(lambda: desk.ran == ["wait"])
        waiting = pool.submit(caller.call, "desk", "note", 2, timeout_s=20)
        requests = bus.keys.requests(due_member("desk", bus.directory.lookup("desk").incarnation))
        wait_until(lambda: bus.redis.xlen(requests) == 1)
        own_server.restart()
        desk.may_go_on.set()
        assert (begun.result(20), waiting.result(20)) == ("waited", None)
    assert desk.ran == ["wait", 2]
