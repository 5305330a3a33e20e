"""The resolver: endpoints by name or by capability, in turns, with few reads of the directory."""

from collections import Counter
from contextlib import ExitStack

import pytest

import notify
from notify import ServiceNotFoundError, UnknownMethodError
from notify.testing import wait_until
from tests.support.faults import commands_during


class Named:
    """Returns the name of its service."""

    def __init__(self, name: str) -> None:
        self.name = name

    def who(self) -> str:
        return self.name


class Other:
    def what(self) -> str:
        return "other"


@pytest.fixture
def trio(bus):
    """Three providers of one method."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(bus.service(name, exports=Named(name), ttl_s=3600)) for name in "abc"}


WHO = notify.provides("who")


@pytest.mark.usefixtures("trio")
def test_N13_providers_of_a_capability_take_turns(another_bus):
    answers = [another_bus.call(WHO, "who") for _ in range(30)]
    assert Counter(answers) == {"a": 10, "b": 10, "c": 10}
    assert answers[:3] == answers[3:6]
    assert {another_bus.call("b", "who") for _ in range(3)} == {"b"}


def test_new_providers_take_turns_and_withdrawn_ones_are_not_called(bus, another_bus, trio):
    def heard(count: int) -> set[object]:
        return {another_bus.call(WHO, "who") for _ in range(count)}

    with bus.service("d", exports=Named("d")):
        wait_until(lambda: heard(4) == {"a", "b", "c", "d"})
    trio["b"].close()
    assert heard(12) == {"a", "c"}


def test_a_suspected_provider_is_called_only_if_there_is_no_other(bus, another_bus, trio):
    for name in "ab":
        bus.redis.hset(bus.keys.service(name), "state", "suspect")
    assert {another_bus.call(WHO, "who") for _ in range(6)} == {"c"}
    trio["c"].close()
    assert {another_bus.call(WHO, "who") for _ in range(6)} == {"a", "b"}
    for name in "ab":
        bus.redis.hset(bus.keys.service(name), "state", "alive")


def test_a_full_provider_is_passed_over(bus, another_bus, trio, monkeypatch):
    monkeypatch.setattr("notify.requests.scripts.MAX_WAITING", 1)
    full = bus.keys.requests(f"a#{trio['a'].incarnation}")
    trio["a"]._request_server.close()  # it takes no more requests, but is registered
    bus.redis.xadd(full, {"request": "x"})
    bus.redis.expire(full, 60)
    assert {another_bus.call(WHO, "who") for _ in range(6)} == {"b", "c"}


@pytest.mark.usefixtures("trio")
def test_the_directory_is_read_once_until_it_changes(bus, another_bus):
    def looks() -> int:
        return sum(command.startswith(("HMGET", "ZRANGE")) for command in commands_during(bus.redis, lambda: another_bus.call(WHO, "who")))

    assert looks() == 4
    assert looks() == 0
    with bus.service("unrelated"):
        wait_until(lambda: another_bus._runtime._request_client is not None and not another_bus._runtime._request_client._resolver._cache)
        assert looks() == 4


def test_a_call_goes_only_to_providers_that_export_the_method(bus, another_bus):
    with bus.service("declares", provides={"who"}), bus.service("other", exports=Other(), provides={"who"}):
        with pytest.raises(UnknownMethodError, match="a provider of 'who' exports no method 'who': it exports what"):
            another_bus.call(WHO, "who")
        with bus.service("exports", exports=Named("exports")):
            assert another_bus.call(WHO, "who") == "exports"
        assert another_bus.call(WHO, "what") == "other"


def test_a_stale_cache_does_not_keep_a_new_incarnation_from_being_called(bus, another_bus, monkeypatch):
    """The client does not hear of the change."""
    monkeypatch.setattr("notify.requests.client.RequestClient._on_change", lambda *_: None)
    for answer in ("first", "second"):
        with bus.service("s", exports=Named(answer)):
            assert another_bus.call("s", "who") == answer
    with pytest.raises(ServiceNotFoundError, match="a service named 's' is not registered"):
        another_bus.call("s", "who")


def test_a_service_with_a_spoilt_description_is_not_found(bus, another_bus):
    with bus.service("s", exports=Named("s")) as service:
        bus.redis.hset(bus.keys.service("s"), "exports", "{")
        with pytest.raises(ServiceNotFoundError):
            another_bus.call("s", "who")
        bus.redis.hset(bus.keys.service("s"), "exports", '["who"]')
        assert another_bus.call("s", "who") == service.name
