"""Calls between processes: each is answered once, or ends with an error that says what happened."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

import notify
from notify import (
    ClosedError,
    ContentsError,
    InvalidServiceError,
    PayloadTooLargeError,
    RequestFailedError,
    RequestTimeoutError,
    ServiceKilledError,
    ServiceNotFoundError,
    ServiceWithdrawnError,
    SettingsError,
    UnknownMethodError,
)
from notify.directory.monitor import INTERVAL_S
from notify.keys import due_member
from notify.requests.client import RequestClient
from notify.testing import PrivateServer, wait_until
from tests.support.processes import Calculator, Process

TTL_S = 0.6


@pytest.fixture
def calculator(server: PrivateServer, bus: notify.Bus, start: Callable[..., Process]) -> Iterator[Process]:
    """Another process that serves as ``calculator``, withdrawn at the end."""
    process = start("calculator", server.url, "calculator", TTL_S)
    process.told()
    yield process
    process.thaw()
    process.end()


@pytest.mark.usefixtures("calculator")
def test_N13_a_call_returns_the_result_of_a_method_in_another_process(bus):
    assert bus.call("calculator", "multiply", 6, 7, timeout_s=5) == 42
    assert bus.call("calculator", "multiply", 6, b=7) == 42
    assert bus.call("calculator", "multiply", a=[1]) == [1]


@pytest.mark.usefixtures("calculator")
def test_N13_an_error_of_the_method_is_raised_at_the_caller(bus):
    """With its type and its message."""
    with pytest.raises(RequestFailedError, match="'multiply' of 'calculator' raised TypeError: can't multiply") as caught:
        bus.call("calculator", "multiply", "a", "b")
    assert (caught.value.error_type, caught.value.error_message) == ("TypeError", "can't multiply sequence by non-int of type 'str'")
    with pytest.raises(RequestFailedError, match=r"TypeError: .*missing 1 required"):
        bus.call("calculator", "sleep")
    assert bus.call("calculator", "multiply", 6, 7) == 42


def test_N13_a_call_to_a_missing_service_fails_at_once(bus):
    for target in ("calculator", notify.provides("multiply")):
        began = time.monotonic()
        with pytest.raises(ServiceNotFoundError, match=r"(calculator|multiply)'.* is not registered"):
            bus.call(target, "multiply", timeout_s=30)
        assert time.monotonic() - began < 1


def test_N13_a_call_fails_when_its_service_is_withdrawn_not_at_its_timeout(bus, calculator):
    """The process of the service is killed in the middle of the call."""
    bus.manager().close()  # its monitor goes on to sweep
    with ThreadPoolExecutor() as pool:
        call = pool.submit(bus.call, "calculator", "sleep", 30, timeout_s=30)
        assert calculator.told() == {"begun": 30}
        calculator.kill()
        killed = time.monotonic()
        with pytest.raises(
            ServiceWithdrawnError, match=r"'calculator' was withdrawn \(expired: no heartbeat\).*'sleep': the method had begun"
        ):
            call.result(20)
    assert time.monotonic() - killed < TTL_S + INTERVAL_S + 0.5


@pytest.mark.any_server
def test_N13_the_twin_without_the_changes_waits_until_its_timeout(bus, calculator, monkeypatch):
    """The process of the service is killed, and the client does not hear of the withdrawal."""
    monkeypatch.setattr(RequestClient, "_on_change", lambda *_: None)
    bus.manager().close()
    with ThreadPoolExecutor() as pool, bus.directory.watch("calculator") as changes:
        call = pool.submit(bus.call, "calculator", "sleep", 30, timeout_s=4)
        assert calculator.told() == {"begun": 30}
        calculator.kill()
        wait_until(lambda: isinstance(changes.get(5), notify.Withdrawn))
        with pytest.raises(RequestTimeoutError):
            call.result(20)


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (lambda bus: bus.directory.kill("calculator", why="enough"), ServiceKilledError),
        (
            lambda bus: bus.directory.withdraw("calculator", _incarnation(bus), reason="withdrawn"),
            ServiceWithdrawnError,
        ),
    ],
)
def test_N13_a_call_ends_at_once_when_its_service_is_withdrawn(bus, another_bus, end, error):
    with bus.service("calculator", exports=Calculator(), ttl_s=3600), ThreadPoolExecutor() as pool:
        call = pool.submit(another_bus.call, "calculator", "sleep", 0.5, timeout_s=30)
        wait_until(lambda: _is_taken(bus, another_bus))
        began = time.monotonic()
        end(bus)
        with pytest.raises(error) as caught:
            call.result(20)
        assert time.monotonic() - began < 0.4
        assert type(caught.value) is error


def _incarnation(bus: notify.Bus) -> int:
    return bus.directory.lookup("calculator").incarnation


def _is_taken(bus: notify.Bus, caller: notify.Bus) -> bool:
    requests = bus.keys.requests(due_member("calculator", _incarnation(bus)))
    return caller._runtime._request_client is not None and bool(bus.redis.exists(requests)) and not bus.redis.xlen(requests)


def test_N13_a_thawed_service_does_not_run_requests_given_up_meanwhile(bus, calculator):
    assert bus.call("calculator", "multiply", 1, 1) == 1
    assert calculator.told() == {"begun": [1, 1]}
    calculator.freeze()
    for timeout_s in (0.05, 0.1):
        with pytest.raises(
            RequestTimeoutError, match=f"'calculator' did not answer 'multiply' within {timeout_s} s: the method had not begun"
        ):
            bus.call("calculator", "multiply", 2, 2, timeout_s=timeout_s)
    calculator.thaw()
    assert wait_until(lambda: _multiply(bus, 3, 3)) == 9
    assert calculator.told() == {"begun": [3, 3]}


def _multiply(bus: notify.Bus, a: int, b: int) -> object:
    """Return the product; ``None`` while the service is not back."""
    try:
        return bus.call("calculator", "multiply", a, b)
    except (ServiceNotFoundError, ServiceWithdrawnError):
        return None


def test_N13_a_frozen_service_is_withdrawn_and_answers_once_it_is_back(bus, calculator):
    """The call ends with the withdrawal; the next incarnation answers the next call."""
    bus.manager().close()
    calculator.freeze()
    with pytest.raises(ServiceWithdrawnError, match=r"expired.*the method had not begun, and will not"):
        bus.call("calculator", "multiply", 2, 2, timeout_s=30)
    calculator.thaw()
    assert wait_until(lambda: _multiply(bus, 3, 3)) == 9
    assert calculator.told() == {"begun": [3, 3]}


def test_N13_each_of_a_thousand_calls_from_many_threads_runs_once(server, bus, start):
    process = start("calculator", server.url, "calculator", 30, 4)
    process.told()
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda n: bus.call("calculator", "multiply", n, 3, timeout_s=30), range(1_000)))
    assert results == [3 * n for n in range(1_000)]
    assert bus._runtime._request_client is not None
    assert not bus._runtime._request_client._pending
    process.end()
    assert Counter(said["begun"][0] for said in process.rest()) == dict.fromkeys(range(1_000), 1)


@pytest.mark.usefixtures("calculator")
def test_N13_calls_are_answered_while_other_services_come_and_go(bus, another_bus):
    done = threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            another_bus.service("visitor", exports=Calculator()).open().close()

    visitor = threading.Thread(target=come_and_go)
    visitor.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda n: bus.call("calculator", "multiply", n, 3, timeout_s=30), range(300))) == [
                3 * n for n in range(300)
            ]
    finally:
        done.set()
        visitor.join()


def test_N13_a_late_answer_is_dropped(bus, calculator):
    with pytest.raises(RequestTimeoutError, match=r"'calculator' did not answer 'sleep' within 0.1 s: the method had begun"):
        bus.call("calculator", "sleep", 0.4, timeout_s=0.1)
    (answers,) = wait_until(lambda: [key.decode() for key in bus.redis.scan_iter("*:answers:*")])
    ((late_id, _),) = bus.redis.xrange(answers)
    assert bus._runtime._request_client is not None
    wait_until(lambda: bus._runtime._request_client._positions[answers] == late_id.decode(), what="the reading of the late answer")
    assert bus.call("calculator", "multiply", 6, 7) == 42


@pytest.mark.parametrize(
    ("target", "method", "args", "options", "error", "message"),
    [
        ("calculator", "multiply", [1, range(2)], {}, ContentsError, r"'multiply' cannot be .* at args\[1\], a value of type range"),
        ("calculator", "multiply", [], {"a": {"b": [object()]}}, ContentsError, r"at kwargs.a.b\[0\], a value of type object"),
        ("calculator", "multiply", ["x" * 70_000], {}, PayloadTooLargeError, "'multiply' has 70.* bytes, the limit is 65536"),
        ("calculator", "divide", [], {}, UnknownMethodError, "'calculator' exports no method 'divide': it exports multiply, sleep"),
        ("calculator", "__init__", [], {}, UnknownMethodError, "'__init__'"),
        ("calculator", 5, [], {}, UnknownMethodError, "the name of a method is text, not 5"),
        ("calculator", partial(print), [], {}, UnknownMethodError, "'calculator' exports no method ''"),
        ("calculator", "multiply", [], {"timeout_s": 0}, SettingsError, "timeout_s is 0"),
        ("calculator", "multiply", [], {"timeout_s": -1.5}, SettingsError, "timeout_s is -1.5"),
        ("calculator", "multiply", [], {"timeout_s": "1"}, SettingsError, "timeout_s is '1'"),
        ("calculator", "multiply", [], {"timeout_s": True}, SettingsError, "timeout_s is True"),
        ("", "multiply", [], {}, InvalidServiceError, "not ''"),
        ("a b", "multiply", [], {}, InvalidServiceError, "'a b'"),
        (None, "multiply", [], {}, InvalidServiceError, "not None"),
        (["calculator"], "multiply", [], {}, InvalidServiceError, "not \\['calculator'"),
        (notify.Provider(7), "multiply", [], {}, InvalidServiceError, "a capability must be a text that is not empty, not 7"),
        ("mute", "multiply", [], {}, UnknownMethodError, "'mute' exports no method 'multiply': it exports none"),
    ],
)
def test_bad_input_is_refused_with_the_reason_and_nothing_is_sent(bus, target, method, args, options, error, message):
    with bus.service("calculator", exports=Calculator()), bus.service("mute", provides={"multiply"}):
        with pytest.raises(error, match=message):
            bus.call(target, method, *args, **options)
        assert not list(bus.redis.scan_iter("*:requests:*"))


def test_a_closed_bus_refuses_calls(server, bus):
    with notify.connect(server.url) as other:
        pass
    with pytest.raises(ClosedError):
        other.call("calculator", "multiply")


def test_closing_the_bus_ends_pending_calls_and_takes_back_requests(server, bus, calculator):
    """Requests that have not begun never begin."""
    with ThreadPoolExecutor() as pool:
        with notify.connect(server.url) as other:
            calls = [pool.submit(other.call, "calculator", "sleep", 2, timeout_s=30) for _ in range(3)]
            requests = bus.keys.requests(due_member("calculator", _incarnation(bus)))
            assert calculator.told() == {"begun": 2}
            wait_until(lambda: bus.redis.xlen(requests) == 2)
        for call in calls:
            with pytest.raises(ClosedError, match="closed before 'sleep' was answered"):
                call.result(5)
    assert bus.call("calculator", "multiply", 6, 7, timeout_s=20) == 42
    assert calculator.told() == {"begun": [6, 7]}


@pytest.mark.usefixtures("calculator")
def test_a_call_survives_the_loss_of_every_connection(bus, another_bus):
    with ThreadPoolExecutor() as pool:
        assert bus.call("calculator", "multiply", 1, 1) == 1
        call = pool.submit(bus.call, "calculator", "sleep", 0.3, timeout_s=10)
        wait_until(lambda: _is_taken(another_bus, bus))
        another_bus.redis.client_kill_filter(_type="normal", skipme=True)
        assert call.result(10) == "slept"


@pytest.mark.usefixtures("calculator")
def test_all_calls_of_a_process_share_one_thread_and_one_connection(bus, another_bus):
    bus.call("calculator", "multiply", 1, 1)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: bus.call("calculator", "multiply", n, n), range(50)))
    assert [thread.name for thread in threading.enumerate()].count("notify-caller") == 1
    assert [row["name"] for row in another_bus.redis.client_list()].count("notify:caller") == 1


def test_a_request_and_its_answer_can_be_read_with_redis_cli(bus, another_bus):
    with bus.service("calculator", exports=Calculator()) as service, bus.redis.monitor() as monitor:
        another_bus.call("calculator", "multiply", 6, b=7)
        asked, answered = [], []
        while not answered:
            command = monitor.next_command()["command"]
            if command.startswith("XADD") and " request " in command:
                asked.append(json.loads(command.split(" request ")[1].partition(" deadline_ms ")[0]))
                assert due_member("calculator", service.incarnation) in command
            elif command.startswith("XADD") and " answer " in command:
                answered.append(json.loads(command.split(" answer ")[1]))
    assert {"method": "multiply", "args": [6], "kwargs": {"b": 7}, "source": "another"}.items() <= asked[0].items()
    assert answered == [{"id": asked[0]["id"], "result": 42}]
