"""The directory: lookup and search, their order, waiting and killing; invalid services leave no trace."""

import os
import socket
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

import notify
from notify import InvalidServiceError, ServiceNotFoundError
from notify.directory.info import check_name, check_ttl
from notify.directory.monitor import Monitor
from notify.directory.scripts import DirectoryScripts
from notify.testing import wait_until
from tests.support.faults import commands_during, everything, server_ms


def test_L10_lookup_returns_the_whole_description_of_a_service(bus):
    before = datetime.now(UTC) - timedelta(seconds=1)
    with bus.service(
        "storage", provides={"store", "retrieve"}, ttl_s=2.5, metadata={"disk": "/dev/sda"}, groups={"attic"}, address="tcp://lab-7:1500"
    ) as service:
        found = bus.directory.lookup("storage")
        assert msgspec.structs.replace(found, silent_s=0.0) == msgspec.structs.replace(service.info, silent_s=0.0)
    assert (found.name, found.incarnation, found.state) == ("storage", service.incarnation, "alive")
    assert (found.provides, found.ttl_s, found.metadata) == ({"store", "retrieve"}, 2.5, {"disk": "/dev/sda"})
    assert (found.groups, found.address, found.flaps) == ({"attic"}, "tcp://lab-7:1500", 0)
    assert (found.host, found.pid) == (socket.gethostname(), os.getpid())
    assert before < found.registered <= found.last_beat < before + timedelta(seconds=10)


def test_L10_the_error_of_a_lookup_has_the_name_and_the_address(bus):
    with pytest.raises(ServiceNotFoundError, match="no service named 'storage' is registered at unix://"):
        bus.directory.lookup("storage")


@pytest.mark.parametrize("name", [None, 5, "", "\ud800", b"storage"])
def test_L10_a_value_that_is_no_valid_name_is_not_found(bus, name):
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
def test_L11_a_search_by_capability_reads_only_its_providers(bus, others):
    """The number of commands does not depend on the number of other services."""
    for number in range(others):
        _register_silent(bus, f"other-{number}")
    with bus.service("s", provides={"store"}):
        assert _names(commands_during(bus.redis, lambda: bus.directory.find(provides="store"))) == ["ZRANGEBYSCORE", "HGETALL", "TIME"]
        assert _names(commands_during(bus.redis, lambda: bus.directory.lookup("s"))) == ["HGETALL", "TIME"]
        assert _names(commands_during(bus.redis, lambda: "s" in bus.directory)) == ["HGETALL", "TIME"]
    bus.redis.flushall()


def test_L11_the_first_of_many_is_found_without_reading_the_others(bus):
    for number in range(50):
        _register_silent(bus, f"s{number}", provides=("store",), groups=("all",))
    asked = commands_during(bus.redis, lambda: bus.directory.find(provides="store"))
    assert (len(asked), "service:s0" in asked[1]) == (3, True)
    assert len(commands_during(bus.redis, lambda: bus.directory.find(group="all"))) == 3
    assert [s.name for s in bus.directory.find_all(provides="store", group="all")] == [f"s{number}" for number in range(50)]
    asked = commands_during(bus.redis, lambda: bus.directory.find(lambda s: s.name == "s49", provides="store"))
    assert len([command for command in asked if command.startswith("ZRANGE")]) == 3  # one, ten, and then a hundred at once
    bus.redis.flushall()


def _names(commands: list[str]) -> list[str]:
    return [command.split()[0] for command in commands]


def _register_silent(
    bus: notify.Bus, name: str, *, ttl_ms: int = 60_000, provides: tuple[str, ...] = (), groups: tuple[str, ...] = ()
) -> int:
    """Register a service that never sends a heartbeat."""
    incarnation = DirectoryScripts(bus.redis).register(name, ttl_ms=ttl_ms, provides=provides, groups=groups, fields={})
    assert incarnation is not None
    return incarnation


def test_a_name_in_an_index_that_is_not_utf_8_hides_no_service(bus):
    with bus.service("s", provides={"work"}):
        bus.redis.sadd(bus.keys.services, b"\xff")
        bus.redis.zadd(bus.keys.provides("work"), {b"\xff": 1})
        assert [s.name for s in bus.directory] == [s.name for s in bus.directory.find_all(provides="work")] == ["s"]
        bus.redis.srem(bus.keys.services, b"\xff")
        bus.redis.zrem(bus.keys.provides("work"), b"\xff")


def test_L9_incarnations_grow_even_after_the_server_lost_its_data(bus):
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


def test_a_kill_removes_a_service_and_publishes_and_keeps_its_end(bus, collect):
    with bus.service("storage", provides={"store"}) as service, bus.subscribe("storage_status") as status:
        event_id = bus.directory.kill("storage", why="out of disk")
        (event,) = collect(status, 1)
        assert (event.id, event.contents.type, event.contents.fatal) == (event_id, "StorageKilledError", True)
        assert str(event.contents) == "storage killed: out of disk"
        assert "storage" not in bus.directory
        assert bus.directory.find_all(provides="store") == []
        end = bus.directory.last_end("storage")
        assert bus.directory.ended_by("storage") == f"{socket.gethostname()}:{os.getpid()}"
        assert (end.incarnation, end.reason, end.why, end.event) == (service.incarnation, "killed", "out of disk", event_id)
        with pytest.raises(ServiceNotFoundError):
            bus.directory.kill("storage")


def test_a_service_that_never_existed_has_no_last_end(bus):
    assert bus.directory.last_end("storage") is None
    assert bus.directory.ended_by("storage") == ""


def test_killing_a_service_that_is_withdrawn_meanwhile_raises(bus, monkeypatch):
    """The race: the service is withdrawn between the lookup and the kill."""
    with bus.service("s") as service:
        found = service.info
        service.close()
        monkeypatch.setattr(notify.Directory, "lookup", lambda *_, **__: found)
        with pytest.raises(ServiceNotFoundError, match="was withdrawn before it could be killed"):
            bus.directory.kill("s")


BAD_NAMES = [None, 5, "", "a b", "a\tb", "a\n", "\x00", "x" * 257, "é" * 129, "\ud800", "a*", "a?", "[a]"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_an_invalid_name_is_refused(name):
    with pytest.raises(InvalidServiceError, match="a service's name"):
        check_name(name)


@pytest.mark.parametrize("name", ["s", "lab-7.storage", "größe", "a#1", "a:b", "{a}", "x" * 256])
def test_a_valid_name_works_for_every_operation(bus, collect, name):
    """Register, find, report, kill."""
    with bus.service(name, provides={name}) as service, bus.subscribe(service.status_topic) as status:
        assert bus.directory.find(provides=name).name == bus.directory.lookup(name).name == name
        service.report("ready")
        service.kill()
        assert [str(event.contents) for event in collect(status, 2)] == ["ready", f"{name} killed"]


@pytest.mark.parametrize("ttl_s", [0, -1, 86_401, float("nan"), float("inf"), None, "5", True])
def test_an_invalid_ttl_is_refused(ttl_s):
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
def test_an_invalid_service_is_refused_and_leaves_redis_unchanged(bus, call):
    with bus.service("present", provides={"store"}, ttl_s=3600):
        before = everything(bus.redis)
        with pytest.raises(InvalidServiceError):
            call(bus).open()
        assert everything(bus.redis) == before
        assert [service.name for service in bus.directory] == ["present"]


def test_a_stale_name_in_a_capability_index_is_not_found(bus):
    """Somebody deleted the description, so that the sweep could not remove the name from the index."""
    _register_silent(bus, "s", ttl_ms=1, provides=("store",))
    bus.redis.delete(bus.keys.service("s"))
    monitor = Monitor(bus.redis)
    wait_until(lambda: monitor.sweep() and "s" not in bus.directory)
    with bus.service("s", provides={"retrieve"}):
        assert bus.directory.find_all(provides="store") == []
    bus.redis.delete(bus.keys.provides("store"))


SPOILT = [{"field": "value"}, {"incarnation": "5"}, {"incarnation": "x"}, {"provides": "{"}, {"metadata": "[1]"}, {"beat_ms": "9" * 30}]


@pytest.mark.parametrize("fields", SPOILT)
def test_an_unreadable_description_is_no_service(bus, fields):
    described = fields if "incarnation" in fields or "field" in fields else {"name": "ghost", "incarnation": "5", **fields}
    bus.redis.sadd(bus.keys.services, "ghost")
    bus.redis.hset(bus.keys.service("ghost"), mapping=described)
    with bus.service("s"):
        assert [service.name for service in bus.directory] == ["s"]
        with pytest.raises(ServiceNotFoundError):
            bus.directory.lookup("ghost")
    bus.redis.delete(bus.keys.services, bus.keys.service("ghost"))


def test_find_and_lookup_return_a_default_instead_of_raising(bus):
    with bus.service("desk", provides={"write"}) as desk:
        assert bus.directory.find(provides="write", default=None).incarnation == desk.incarnation
        assert bus.directory.lookup("desk", default=None).incarnation == desk.incarnation
        assert bus.directory.find(lambda service: False, default="none") == "none"
    assert bus.directory.find(provides="write", default=None) is None
    assert bus.directory.lookup("desk", default=None) is None
    assert bus.directory.find_all(provides="write") == []
    with pytest.raises(ServiceNotFoundError):
        bus.directory.find(provides="write")
