"""Groups: services join and leave them, and are found and watched by them; a withdrawal leaves all of them."""

import threading

import pytest

import notify
from notify import Available, ClosedError, InvalidServiceError, ServiceNotFoundError, ServiceWithdrawnError, Suspect, Withdrawn
from notify.directory.monitor import Monitor
from notify.directory.scripts import DirectoryScripts
from notify.testing import wait_until
from tests.support.faults import beat, cut, let_pass


def _members(bus: notify.Bus, group: str) -> list[str]:
    return [service.name for service in bus.directory.find_all(group=group)]


def test_N9_services_are_found_by_their_groups(bus):
    """In the order of registration, also after joining and leaving."""
    with bus.service("b", groups={"sensors", "attic"}) as b, bus.service("a") as a, bus.service("c", groups="sensors"):
        assert (b.groups, b.info.groups, a.groups) == ({"sensors", "attic"}, {"sensors", "attic"}, frozenset())
        a.join("sensors")
        assert _members(bus, "sensors") == ["b", "a", "c"]
        b.leave("sensors")
        b.leave("never-joined")
        assert (_members(bus, "sensors"), _members(bus, "attic")) == (["a", "c"], ["b"])
        assert (b.info.groups, a.info.groups) == ({"attic"}, {"sensors"})
        assert bus.directory.find(group="sensors").name == "a"
        assert bus.directory.find(lambda s: s.name == "c", group="sensors").name == "c"
        with pytest.raises(ServiceNotFoundError, match="no service that is in the group 'cellar' is registered"):
            bus.directory.find(group="cellar")


def test_N9_a_search_can_combine_a_capability_and_a_group(bus):
    with bus.service("a", provides="read", groups="attic"), bus.service("b", provides="read"), bus.service("c", groups="attic"):
        assert [s.name for s in bus.directory.find_all(provides="read", group="attic")] == ["a"]
        with pytest.raises(ServiceNotFoundError, match="that provides 'write' and is in the group 'attic'"):
            bus.directory.find(provides="write", group="attic")


@pytest.mark.parametrize("way", ["close", "kill", "directory", "sweep"])
def test_N9_a_withdrawal_removes_the_service_from_all_groups(bus, way):
    with bus.service("s", groups={"one", "two"}, ttl_s=3600) as service:
        service.join("three")
        if way == "directory":
            bus.directory.kill("s")
        elif way == "sweep":
            let_pass(bus, 3_600)
            monitor = Monitor(bus.redis)
            wait_until(lambda: monitor.sweep() and "s" not in bus.directory)
        else:
            getattr(service, way)()
        assert not bus.redis.exists(*(bus.keys.group(group) for group in ("one", "two", "three")))
        service.kill()


def test_N9_a_service_that_registers_again_keeps_its_groups(bus):
    with bus.service("s", groups={"one"}, ttl_s=3600) as service:
        service.join("two")
        service.leave("one")
        bus.directory.withdraw("s", service.incarnation, reason="expired")
        service.join("three")  # while it is lost, and does not know
        assert (_members(bus, "two"), _members(bus, "three")) == ([], [])
        beat(service)
        assert [_members(bus, group) for group in ("one", "two", "three")] == [[], ["s"], ["s"]]
        assert service.info.groups == {"two", "three"}


def test_N9_a_group_joined_during_a_withdrawal_is_left_as_well(bus, monkeypatch):
    """The race: the withdrawal has read the groups to leave, and then the service joins another one."""
    with bus.service("s", groups={"one"}, ttl_s=3600) as service:
        describe = DirectoryScripts._describe

        def describe_late(self: DirectoryScripts, services: object) -> object:
            seen = describe(self, services)
            if "late" not in service.groups:
                service.join("late")
            return seen

        monkeypatch.setattr(DirectoryScripts, "_describe", describe_late)
        assert bus.directory.kill("s")
        assert not bus.redis.exists(bus.keys.group("one"), bus.keys.group("late"))
        assert "s" not in bus.directory


@pytest.mark.parametrize("group", [None, 5, "", "a b", "a\n", "x" * 257, "a*"])
def test_N9_an_invalid_group_is_refused_and_changes_nothing(bus, group):
    with bus.service("s", groups={"one"}) as service:
        for change in (service.join, service.leave):
            with pytest.raises(InvalidServiceError, match="a group"):
                change(group)
        assert service.info.groups == service.groups == {"one"}
        assert [found.incarnation for found in bus.directory.find_all(group=group)] in ([], [service.incarnation])


def test_N9_only_a_running_service_can_join_and_leave(bus):
    service = bus.service("s")
    with pytest.raises(ClosedError, match="not open"):
        service.join("one")
    with service:
        pass
    for change in (service.join, service.leave):
        with pytest.raises(ServiceWithdrawnError):
            change("one")
    assert not bus.redis.exists(bus.keys.group("one"))


def test_N9_fifty_concurrent_changes_of_groups_leave_exact_indexes(bus):
    with bus.service("s", ttl_s=3600) as service:

        def come_and_go(number: int) -> None:
            service.join(f"g{number}")
            service.join("all")
            if number % 2:
                service.leave(f"g{number}")

        threads = [threading.Thread(target=come_and_go, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expected = {"all", *(f"g{number}" for number in range(0, 50, 2))}
        assert service.info.groups == service.groups == expected
        assert {group for group in [*(f"g{n}" for n in range(50)), "all"] if bus.redis.exists(bus.keys.group(group))} == expected


def test_N4_a_watch_of_a_group_yields_members_and_then_changes(bus):
    """Members first; then services that join, register, leave and are withdrawn."""
    with bus.service("a", groups={"sensors"}) as a, bus.service("b") as b, bus.directory.watch(group="sensors") as changes:
        b.join("sensors")
        b.join("sensors")
        a.join("another")
        with bus.service("c", groups={"sensors"}) as c:
            a.leave("sensors")
            a.leave("sensors")
            c.join("another")
            c.leave("another")
        a.join("sensors")
        yielded = [changes.get(5) for _ in range(6)]
        assert changes.get(0.05) is None
    assert yielded == [
        Available("a", a.incarnation),
        Available("b", b.incarnation),
        Available("c", c.incarnation),
        Withdrawn("a", a.incarnation, "left"),
        Withdrawn("c", c.incarnation, "withdrawn"),
        Available("a", a.incarnation),
    ]


def test_N4_a_watch_of_a_capability_follows_all_its_providers(bus):
    with bus.service("a", provides="store") as a, bus.directory.watch(provides="store") as changes:
        with bus.service("b", provides={"store", "retrieve"}) as b, bus.service("c", provides={"retrieve"}) as c:
            c.join("store")
        yielded = [changes.get(5) for _ in range(3)]
        assert changes.get(0.05) is None
    assert yielded == [Available("a", a.incarnation), Available("b", b.incarnation), Withdrawn("b", b.incarnation, "withdrawn")]


def test_N4_a_watch_can_combine_names_capability_and_group(bus):
    with (
        bus.directory.watch("a", "b", provides="store", group="attic") as changes,
        bus.service("a", provides="store", groups="attic") as a,
        bus.service("b", provides="store"),
        bus.service("c", provides="store", groups="attic"),
        bus.service("d", groups="attic"),
    ):
        assert changes.get(5) == Available("a", a.incarnation)
        assert changes.get(0.05) is None


def test_N4_a_watch_of_a_group_yields_suspicion_and_recovery(bus):
    with bus.service("a", ttl_s=3600, groups="g") as a, bus.service("b", ttl_s=3600), bus.directory.watch(group="g") as changes:
        let_pass(bus, 2_400)
        Monitor(bus.redis).sweep()
        beat(a)
        yielded = [changes.get(5) for _ in range(3)]
        assert changes.get(0.05) is None
    assert yielded == [Available("a", a.incarnation), Suspect("a", a.incarnation), Available("a", a.incarnation)]


@pytest.mark.usefixtures("_impatient")
def test_N6_a_change_of_groups_during_a_lost_connection_is_yielded(bus, another_bus):
    with bus.service("s") as service, another_bus.directory.watch(group="g") as changes:
        cut(bus.redis, "watch")
        service.join("g")
        service.leave("g")
        yielded = [changes.get(5), changes.get(5)]
    assert yielded == [Available("s", service.incarnation), Withdrawn("s", service.incarnation, "left")]


@pytest.mark.usefixtures("_impatient")
def test_N4_a_watch_of_a_group_compares_again_when_the_log_is_lost(bus):
    with (
        bus.service("stays", groups="g") as stays,
        bus.service("left", groups="g") as left,
        bus.service("joins") as joins,
        bus.directory.watch(group="g") as changes,
    ):
        assert [changes.get(5).name for _ in range(2)] == ["stays", "left"]
        left.leave("g")
        joins.join("g")
        bus.redis.delete(bus.keys.log("services"), bus.keys.topic("services"))
        bus.publish("services", "a new log")
        yielded = {changes.get(5), changes.get(5)}
        assert changes.get(0.2) is None
        assert stays.info.groups == {"g"}
    assert {(type(change), change.name) for change in yielded} == {(Withdrawn, "left"), (Available, "joins")}


@pytest.mark.parametrize("name", ['a"b', "a\\b", "größe", "@service@", "@groups@", "{a}"])
def test_N4_an_announcement_holds_names_with_special_characters(bus, collect, name):
    with bus.subscribe("services") as events, bus.service(name, provides={name}, groups={name}) as service:
        service.kill(name)
        came, went = collect(events, 2)
    described = {"service": name, "incarnation": service.incarnation, "provides": [name], "groups": [name]}
    assert came.contents == {"change": "available", **described}
    assert went.contents == {"change": "withdrawn", **described, "reason": "killed", "why": name}
