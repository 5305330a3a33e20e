"""Waiting until a service is registered, or several at the same time."""

import threading
from typing import Any

import pytest

import notify
from notify import InvalidServiceError, ServiceNotFoundError
from notify.directory import waiting
from notify.directory.directory import Directory


def test_N7_wait_for_returns_as_soon_as_the_service_is_registered(bus, another_bus):
    wanted, found = threading.Event(), threading.Event()

    def come() -> None:
        wanted.wait(5)
        with another_bus.service("late", provides={"work"}):
            found.wait(5)

    coming = threading.Thread(target=come)
    coming.start()
    threading.Timer(0.05, wanted.set).start()
    assert bus.directory.wait_for("late", timeout_s=5).name == "late"
    assert bus.directory.wait_for(provides="work", timeout_s=5).name == "late"
    found.set()
    coming.join()


def test_N7_wait_for_raises_when_the_time_is_over(bus):
    with bus.service("other"), pytest.raises(notify.ServiceNotFoundError, match=r"'late' was registered .* within 0\.05 s"):
        bus.directory.wait_for("late", timeout_s=0.05)


def test_several_needs_are_returned_in_the_order_of_the_arguments(bus, another_bus):
    """`wait_for` returns as soon as all are registered."""
    with bus.service("storage"), bus.service("other", provides={"divide"}):
        desk = another_bus.service("desk", provides={"multiply"})
        opening = threading.Timer(0.1, desk.open)
        opening.start()
        found = bus.directory.wait_for(notify.provides("multiply"), "storage", timeout_s=5)
        opening.join()
        desk.close()
        assert [service.name for service in found] == ["desk", "storage"]
        assert bus.directory.wait_for(notify.provides("divide"), timeout_s=0).name == "other"
        assert [service.name for service in bus.directory.wait_for("storage", "storage", timeout_s=0)] == ["storage"] * 2
        assert bus.directory.wait_for(name="storage", timeout_s=0).name == "storage"


def test_needs_are_not_met_by_a_service_that_has_gone_meanwhile(bus, monkeypatch):
    """The race: the first service is found, then it is withdrawn, and then the second one registers."""
    early, late, again = (bus.service(name) for name in ("early", "late", "early"))
    wait_for_one = waiting.wait_for_one

    def come_and_go(directory: Directory, need: str, **how: Any) -> object:
        if need == "late":
            early.close()
            late.open()
        else:
            again.open()
        return wait_for_one(directory, need, **how)

    monkeypatch.setattr(waiting, "wait_for_one", come_and_go)
    early.open()
    found = bus.directory.wait_for("early", "late", timeout_s=5)
    assert [service.incarnation for service in found] == [again.incarnation, late.incarnation]
    for service in (late, again):
        service.close()


def test_the_error_of_several_needs_names_only_the_missing_ones(bus):
    with bus.service("storage"):
        wanted = r"^not registered at unix://.* within 0\.05 s: 'desk', a provider of 'multiply'"
        with pytest.raises(ServiceNotFoundError, match=wanted):
            bus.directory.wait_for("desk", "storage", notify.provides("multiply"), timeout_s=0.05)


@pytest.mark.parametrize("needs", [("a", None), (5,), (None, "a"), (b"a", "b")])
def test_an_invalid_need_is_refused(bus, needs):
    with pytest.raises(InvalidServiceError, match=r"a need is the name of a service or notify\.provides"):
        bus.directory.wait_for(*needs, timeout_s=0)


@pytest.mark.parametrize("how", [{"provides": "work"}, {"group": "one"}])
def test_provides_and_group_are_refused_with_several_needs(bus, how):
    with pytest.raises(InvalidServiceError, match="do not go with several needs"):
        bus.directory.wait_for("a", "b", timeout_s=0, **how)
    with pytest.raises(InvalidServiceError, match="does not go with a provider of 'rest' as the need"):
        bus.directory.wait_for(notify.provides("rest"), provides="work", timeout_s=0)
