"""The directory: who is found, in which order, and that what cannot be registered leaves no trace."""

import os
import socket
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import notify
from notify import InvalidServiceError, ServiceNotFoundError
from notify.directory import waiting
from notify.directory.directory import Directory
from notify.directory.info import check_name, check_ttl
from notify.directory.monitor import Monitor
from notify.directory.scripts import DirectoryScripts
from notify.testing import wait_until
from tests.support.faults import commands_during, everything, server_ms


def test_L10_lookup_tells_all_that_is_known_of_a_service(bus):
    before = datetime.now(UTC) - timedelta(seconds=1)
    with bus.service(
        "storage", provides={"store", "retrieve"}, ttl_s=2.5, metadata={"disk": "/dev/sda"}, groups={"attic"}, address="tcp://lab-7:1500"
    ) as service:
        found = bus.directory.lookup("storage")
        assert found == service.info
    assert (found.name, found.incarnation, found.state) == ("storage", service.incarnation, "alive")
    assert (found.provides, found.ttl_s, found.metadata) == ({"store", "retrieve"}, 2.5, {"disk": "/dev/sda"})
    assert (found.groups, found.address, found.flaps) == ({"attic"}, "tcp://lab-7:1500", 0)
    assert (found.host, found.pid) == (socket.gethostname(), os.getpid())
    assert before < found.registered <= found.last_beat < before + timedelta(seconds=10)


def test_L10_a_lookup_that_misses_names_what_was_looked_for_and_where(bus):
    with pytest.raises(ServiceNotFoundError, match="no service named 'storage' is registered at unix://"):
        bus.directory.lookup("storage")


@pytest.mark.parametrize("name", [None, 5, "", "\ud800", b"storage"])
def test_L10_what_can_be_nobody_s_name_is_not_found_either(bus, name):
    with pytest.raises(ServiceNotFoundError):
        bus.directory.lookup(name)
    with pytest.raises(ServiceNotFoundError):
        bus.directory.kill(name)
    with pytest.raises(ServiceNotFoundError):
        bus.directory.find(provides=name or "\ud800")
    assert name not in bus.directory
    assert bus.directory.last_end(name) is None


@pytest.fixture
def _three(bus):
    """Three services, registered in this order."""
    with (
        bus.service("zeta", provides={"store"}, metadata={"room": "1"}),
        bus.service("alpha", provides={"store", "retrieve"}, metadata={"room": "2"}),
        bus.service("mid", metadata={"room": "2"}),
    ):
        yield


@pytest.mark.usefixtures("_three")
def test_L11_services_are_found_by_any_predicate_in_the_order_of_registration(bus):
    assert [service.name for service in bus.directory] == ["zeta", "alpha", "mid"]
    assert bus.directory.find().name == "zeta"
    assert bus.directory.find(lambda s: s.metadata["room"] == "2").name == "alpha"
    assert [s.name for s in bus.directory.find_all(lambda s: s.metadata["room"] == "2")] == ["alpha", "mid"]
    with pytest.raises(ServiceNotFoundError, match="no service that fits"):
        bus.directory.find(lambda s: s.metadata["room"] == "3")


@pytest.mark.usefixtures("_three")
def test_L11_services_are_found_by_capability_in_the_order_of_registration(bus):
    assert bus.directory.find(provides="store").name == "zeta"
    assert bus.directory.find(lambda s: s.name != "zeta", provides="store").name == "alpha"
    assert [s.name for s in bus.directory.find_all(provides="store")] == ["zeta", "alpha"]
    assert [s.name for s in bus.directory.find_all(provides="retrieve")] == ["alpha"]
    assert bus.directory.find_all(provides="fly") == []
    with pytest.raises(ServiceNotFoundError, match="no service that provides 'fly'"):
        bus.directory.find(provides="fly")


@pytest.mark.parametrize("others", [0, 50])
def test_L11_a_look_by_capability_asks_for_those_who_have_it_and_for_nobody_else(bus, others):
    for number in range(others):
        _register_silent(bus, f"other-{number}")
    with bus.service("s", provides={"store"}):
        assert len(commands_during(bus.redis, lambda: bus.directory.find(provides="store"))) == 2
        assert len(commands_during(bus.redis, lambda: bus.directory.lookup("s"))) == 1
    bus.redis.flushall()


def test_L11_the_first_of_many_is_found_without_reading_the_others(bus):
    for number in range(50):
        _register_silent(bus, f"s{number}", provides=("store",), groups=("all",))
    asked = commands_during(bus.redis, lambda: bus.directory.find(provides="store"))
    assert (len(asked), "service:s0" in asked[1]) == (2, True)
    assert len(commands_during(bus.redis, lambda: bus.directory.find(group="all"))) == 2
    assert [s.name for s in bus.directory.find_all(provides="store", group="all")] == [f"s{number}" for number in range(50)]
    asked = commands_during(bus.redis, lambda: bus.directory.find(lambda s: s.name == "s49", provides="store"))
    assert len([command for command in asked if command.startswith("ZRANGE")]) == 3  # one, ten, and then a hundred at once
    bus.redis.flushall()


def _register_silent(
    bus: notify.Bus, name: str, *, ttl_ms: int = 60_000, provides: tuple[str, ...] = (), groups: tuple[str, ...] = ()
) -> int:
    """Register a service that never sends a heartbeat."""
    incarnation = DirectoryScripts(bus.redis).register(name, ttl_ms=ttl_ms, provides=provides, groups=groups, fields={})
    assert incarnation is not None
    return incarnation


def test_a_name_that_was_put_in_by_hand_and_is_no_text_hides_nobody(bus):
    with bus.service("s", provides={"work"}):
        bus.redis.sadd(bus.keys.services, b"\xff")
        bus.redis.zadd(bus.keys.provides("work"), {b"\xff": 1})
        assert [s.name for s in bus.directory] == [s.name for s in bus.directory.find_all(provides="work")] == ["s"]
        bus.redis.srem(bus.keys.services, b"\xff")
        bus.redis.zrem(bus.keys.provides("work"), b"\xff")


def test_L9_incarnations_only_grow_even_when_the_server_lost_its_data(bus):
    seen = []
    for _ in range(5):
        with bus.service("s") as service:
            seen.append(service.incarnation)
    wait_until(lambda: server_ms(bus.redis) > seen[-1])
    bus.redis.flushall()
    with bus.service("s") as service:
        seen.append(service.incarnation)
    assert seen == sorted(set(seen))
    assert seen[0] > server_ms(bus.redis) - 60_000


def test_a_killed_service_is_not_offered_any_more_and_its_end_is_told_and_kept(bus, collect):
    with bus.service("storage", provides={"store"}) as service, bus.subscribe("storage_status") as status:
        event_id = bus.directory.kill("storage", why="out of disk")
        (event,) = collect(status, 1)
        assert (event.id, event.contents.type, event.contents.fatal) == (event_id, "StorageKilledError", True)
        assert str(event.contents) == "storage killed: out of disk"
        assert "storage" not in bus.directory
        assert bus.directory.find_all(provides="store") == []
        end = bus.directory.last_end("storage")
        assert (end.incarnation, end.reason, end.why, end.event) == (service.incarnation, "killed", "out of disk", event_id)
        with pytest.raises(ServiceNotFoundError):
            bus.directory.kill("storage")


def test_nobody_who_never_was_has_an_end(bus):
    assert bus.directory.last_end("storage") is None


def test_killing_one_who_goes_at_that_moment_is_a_miss(bus, monkeypatch):
    with bus.service("s") as service:
        found = service.info
        service.close()
        monkeypatch.setattr(notify.Directory, "lookup", lambda *_: found)
        with pytest.raises(ServiceNotFoundError, match="was withdrawn before it could be killed"):
            bus.directory.kill("s")


BAD_NAMES = [None, 5, "", "a b", "a\tb", "a\n", "\x00", "x" * 257, "é" * 129, "\ud800", "a*", "a?", "[a]"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_no_service_can_have_is_refused(name):
    with pytest.raises(InvalidServiceError, match="a service's name"):
        check_name(name)


@pytest.mark.parametrize("name", ["s", "lab-7.storage", "größe", "a#1", "a:b", "{a}", "x" * 256])
def test_any_other_name_can_be_registered_found_reported_on_and_killed(bus, collect, name):
    with bus.service(name, provides={name}) as service, bus.subscribe(service.status_topic) as status:
        assert bus.directory.find(provides=name).name == bus.directory.lookup(name).name == name
        service.report("ready")
        service.kill()
        assert [str(event.contents) for event in collect(status, 2)] == ["ready", f"{name} killed"]


@pytest.mark.parametrize("ttl_s", [0, -1, 86_401, float("nan"), float("inf"), None, "5", True])
def test_a_ttl_that_cannot_be_is_refused(ttl_s):
    with pytest.raises(InvalidServiceError, match="ttl_s"):
        check_ttl(ttl_s)


BAD_SERVICES = {
    "name": lambda bus: bus.service("a b"),
    "status topic": lambda bus: bus.service("a*"),
    "ttl": lambda bus: bus.service("s", ttl_s=-1),
    "capability": lambda bus: bus.service("s", provides={"ok", "not ok"}),
    "capability that is no text": lambda bus: bus.service("s", provides=["store", 5]),
    "empty capability": lambda bus: bus.service("s", provides={""}),
    "capabilities that are none": lambda bus: bus.service("s", provides={None}),
    "group": lambda bus: bus.service("s", groups={"ok", "not ok"}),
    "group that is no text": lambda bus: bus.service("s", groups=["sensors", 5]),
    "group that is too long": lambda bus: bus.service("s", groups={"x" * 257}),
    "address that is no text": lambda bus: bus.service("s", address=5),
    "address with a control character": lambda bus: bus.service("s", address="lab-7:80\n"),
    "address that is too long": lambda bus: bus.service("s", address="x" * 257),
    "metadata that are no text": lambda bus: bus.service("s", metadata={"size": 5}),
    "metadata with a name that is no text": lambda bus: bus.service("s", metadata={5: "size"}),
    "metadata that are no clean text": lambda bus: bus.service("s", metadata={"a": "\ud800"}),
}


@pytest.mark.parametrize(
    "call", [call for call in BAD_SERVICES.values() if call], ids=[name for name, call in BAD_SERVICES.items() if call]
)
def test_what_cannot_be_registered_raises_and_leaves_redis_as_it_was(bus, call):
    with bus.service("present", provides={"store"}, ttl_s=3600):
        before = everything(bus.redis)
        with pytest.raises(InvalidServiceError):
            call(bus).open()
        assert everything(bus.redis) == before
        assert [service.name for service in bus.directory] == ["present"]


def test_the_names_of_a_capability_s_former_owner_are_not_offered_for_it(bus):
    """Somebody deleted the description, so the sweep could not know what to take out of the index."""
    _register_silent(bus, "s", ttl_ms=1, provides=("store",))
    bus.redis.delete(bus.keys.service("s"))
    monitor = Monitor(bus.redis)
    wait_until(lambda: monitor.sweep() and "s" not in bus.directory)
    with bus.service("s", provides={"retrieve"}):
        assert bus.directory.find_all(provides="store") == []
    bus.redis.delete(bus.keys.provides("store"))


SPOILT = [{"field": "value"}, {"incarnation": "5"}, {"incarnation": "x"}, {"provides": "{"}, {"metadata": "[1]"}, {"beat_ms": "9" * 30}]


@pytest.mark.parametrize("fields", SPOILT)
def test_a_description_that_nobody_can_read_is_nobody_s(bus, fields):
    described = fields if "incarnation" in fields or "field" in fields else {"name": "ghost", "incarnation": "5", **fields}
    bus.redis.sadd(bus.keys.services, "ghost")
    bus.redis.hset(bus.keys.service("ghost"), mapping=described)
    with bus.service("s"):
        assert [service.name for service in bus.directory] == ["s"]
        with pytest.raises(ServiceNotFoundError):
            bus.directory.lookup("ghost")
    bus.redis.delete(bus.keys.services, bus.keys.service("ghost"))


def test_N7_who_waits_for_a_service_has_it_as_soon_as_it_is_there(bus, another_bus):
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


def test_N7_who_waits_in_vain_is_told_so_in_time(bus):
    with bus.service("other"), pytest.raises(notify.ServiceNotFoundError, match=r"'late' was registered .* within 0\.05 s"):
        bus.directory.wait_for("late", timeout_s=0.05)


def test_several_needs_are_met_when_all_are_there_in_the_order_in_which_they_are_asked_for(bus, another_bus):
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


def test_needs_are_not_met_by_one_that_went_before_the_last_one_came(bus, monkeypatch):
    """The race: the first is found, then it goes, and then the second comes."""
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


def test_needs_that_are_not_met_in_time_are_named_and_the_others_are_not(bus):
    with bus.service("storage"):
        wanted = r"^not registered at unix://.* within 0\.05 s: 'desk', a provider of 'multiply'"
        with pytest.raises(ServiceNotFoundError, match=wanted):
            bus.directory.wait_for("desk", "storage", notify.provides("multiply"), timeout_s=0.05)


@pytest.mark.parametrize("needs", [("a", None), (5,), (None, "a"), (b"a", "b")])
def test_what_is_no_need_is_refused(bus, needs):
    with pytest.raises(InvalidServiceError, match=r"a need is the name of a service or notify\.provides"):
        bus.directory.wait_for(*needs, timeout_s=0)


@pytest.mark.parametrize("how", [{"provides": "work"}, {"group": "one"}])
def test_what_restricts_one_service_is_refused_with_several_needs(bus, how):
    with pytest.raises(InvalidServiceError, match="among several needs"):
        bus.directory.wait_for("a", "b", timeout_s=0, **how)
    with pytest.raises(InvalidServiceError, match="among several needs"):
        bus.directory.wait_for(notify.provides("rest"), provides="work", timeout_s=0)
