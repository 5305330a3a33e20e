"""A service: its name, its capabilities, its reports, its state, and an end that is published once."""

import threading
import traceback

import pytest

import notify
from notify import (
    Available,
    ClosedError,
    Failure,
    FencedError,
    InvalidServiceError,
    ServiceKilledError,
    ServiceNameTakenError,
    ServiceWithdrawnError,
    Withdrawn,
)
from notify.requests.exports import capabilities_of
from notify.service.service import Service
from notify.state.state import State
from tests.support.faults import beat, commands_during, everything


def test_L9_a_taken_name_gets_a_suffix(bus, another_bus):
    """The first service keeps the bare name; all of them are found."""
    with bus.service("storage") as first, another_bus.service("storage") as second, bus.service("storage") as third:
        assert [first.name, second.name, third.name] == ["storage", "storage-2", "storage-3"]
        assert bus.directory.lookup("storage-2").incarnation == second.incarnation
        second.close()
        with bus.service("storage") as fourth:
            assert fourth.name == "storage-2"
    with bus.service("storage") as again:
        assert again.name == "storage"


def test_L9_twenty_concurrent_services_of_one_name_get_twenty_names(bus, another_bus):
    together, services = threading.Barrier(20), [(bus, another_bus)[n % 2].service("s", ttl_s=60) for n in range(20)]

    def register(service: Service) -> None:
        together.wait()
        service.open()

    threads = [threading.Thread(target=register, args=(service,)) for service in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({service.name for service in services}) == 20
    assert len({service.incarnation for service in services}) == 20
    assert len(bus.directory.find_all()) == 20
    for service in services:
        service.close()


def test_a_taken_exclusive_name_is_refused_with_its_holder(bus):
    """It can be registered when it is free."""
    with bus.service("storage") as holder:
        with pytest.raises(ServiceNameTakenError, match=rf"'storage' is held.*process {holder.info.pid} on {holder.info.host}"):
            bus.service("storage", exclusive=True).open()
        assert [service.name for service in bus.directory] == ["storage"]
    with bus.service("storage", exclusive=True) as service:
        assert service.name == "storage"


def test_P7_registering_and_a_heartbeat_take_a_round_trip_each(bus):
    with bus.service("s", ttl_s=3600) as service:
        beat(service)  # loads the scripts
    again = bus.service("s", ttl_s=3600)
    assert len(commands_during(bus.redis, again.open)) == 1
    assert len(commands_during(bus.redis, lambda: beat(again))) == 1
    again.close()


class Store:
    """An object whose public methods are capabilities."""

    version = 1

    def store(self) -> None: ...

    def retrieve(self) -> None: ...

    def _clean(self) -> None: ...

    @property
    def size(self) -> int:
        raise RuntimeError("not ready yet")


@pytest.mark.parametrize(
    ("provides", "capabilities"),
    [
        ((), set()),
        ("store", {"store"}),
        ({"store", "retrieve"}, {"store", "retrieve"}),
        (["store", "store"], {"store"}),
        ({"store": 1, "retrieve": 2}.keys(), {"store", "retrieve"}),
        (Store(), {"store", "retrieve"}),
        (Store, {"store", "retrieve"}),
    ],
)
def test_L12_capabilities_are_declared_or_the_public_callables_of_an_object(provides, capabilities):
    assert capabilities_of(provides) == capabilities


def test_L12_a_service_is_found_by_the_methods_of_its_object(bus):
    with bus.service("storage", provides=Store()):
        assert bus.directory.find(provides="retrieve").name == "storage"


@pytest.mark.parametrize("provides", [{5}, ["a b"], ""])
def test_L12_an_invalid_capability_is_refused(bus, provides):
    with pytest.raises(InvalidServiceError, match="a capability"):
        bus.service("s", provides=provides)


def test_reports_and_errors_of_a_service_are_on_its_status_topic(bus, collect):
    with bus.service("storage") as service, bus.subscribe("storage_status") as status:
        assert service.status_topic == "storage_status"
        ids = [service.report({"free": 5}), service.report(KeyError("k")), service.report(Failure("E", "m"))]
        events = collect(status, 3)
    assert [event.contents for event in events] == [{"free": 5}, Failure("KeyError", "'k'"), Failure("E", "m")]
    assert [(event.source, event.id) for event in events] == [("storage", event_id) for event_id in ids]


def test_L20_a_kill_is_published_once_and_every_later_call_raises_it(bus, collect):
    with bus.service("storage", provides={"store"}) as service, bus.subscribe("storage_status") as status:
        service.state["kept"] = 1
        service.kill("out of disk")
        for call in (service.check, lambda: service.report("more"), lambda: service.report("and more")):
            with pytest.raises(ServiceKilledError, match=r"^storage killed: out of disk$"):
                call()
        service.kill("again")
        service.close()
        (event,) = collect(status, 1)
        assert event.contents == Failure("StorageKilledError", "storage killed: out of disk", fatal=True)
        assert "storage" not in bus.directory
        assert service.wait(0)
        with pytest.raises(FencedError):
            service.state["late"] = 1
        assert bus.state("storage").snapshot() == {"kept": 1}


def test_L20_a_kill_without_a_reason_has_the_message_of_the_source(bus, collect):
    with bus.service("storage") as service, bus.subscribe("storage_status") as status:
        service.kill()
        (event,) = collect(status, 1)
    assert (event.contents.type, event.contents.message) == ("StorageKilledError", "storage killed")


def test_L20_state_is_removed_only_by_a_purge(bus):
    with bus.service("storage") as service:
        service.state["gone"] = 1
        service.kill(purge=True)
    assert bus.state("storage").snapshot() == {}


@pytest.mark.parametrize("end", [Service.kill, Service.close])
def test_a_service_can_be_ended_while_it_opens(bus, monkeypatch, end):
    """The race: the server has registered the service, and its process does not know it yet."""
    service = bus.service("s", ttl_s=0.3, exports=Store())
    register, ending = service._registration._scripts.register, threading.Thread(target=end, args=(service,))

    def register_and_be_ended(*args: object, **how: object) -> object:
        registered = register(*args, **how)
        ending.start()
        ending.join(0.2)  # it waits for the opening
        return registered

    monkeypatch.setattr(service._registration._scripts, "register", register_and_be_ended)
    service.open()
    ending.join()
    assert service.wait(0)
    assert "s" not in bus.directory
    assert bus.directory.last_end("s").incarnation == service.incarnation
    with pytest.raises(ServiceWithdrawnError):
        service.report("still here?")
    service.close()


def test_a_purging_kill_ends_a_service_that_the_directory_lost(bus):
    with bus.service("s", ttl_s=3600) as service:
        service.state["f"] = 1
        bus.directory.withdraw("s", service.incarnation, reason="expired")
        service.kill(purge=True)
        assert service.wait(0)
        assert bus.state("s").snapshot() == {}


def test_a_purging_kill_does_not_touch_the_state_of_a_successor(bus):
    with bus.service("s", ttl_s=3600) as old:
        bus.directory.withdraw("s", old.incarnation, reason="expired")
        with bus.service("s", ttl_s=3600) as successor:
            successor.state["f"] = 1
            old.kill(purge=True)
            assert successor.state["f"] == 1
            assert bus.directory.lookup("s").incarnation == successor.incarnation
    bus.state("s").clear()


def test_a_closed_service_is_withdrawn_and_later_calls_raise(bus):
    with bus.directory.watch() as changes:
        with bus.service("s") as service:
            pass
        service.close()
        assert changes.get(5) == Available("s", service.incarnation)
        assert changes.get(5) == Withdrawn("s", service.incarnation, "withdrawn")
        assert changes.get(0.05) is None
    with pytest.raises(ServiceWithdrawnError, match="'s' is closed"):
        service.report("late")
    assert service.wait(0)


def test_an_error_raised_repeatedly_does_not_grow(bus):
    """Its traceback keeps its length."""
    service = bus.service("s").open()
    service.kill("why")
    lengths = []
    for _ in range(3):
        with pytest.raises(ServiceKilledError) as caught:
            service.check()
        lengths.append(len(traceback.extract_tb(caught.value.__traceback__)))
    assert len(set(lengths)) == 1


def test_a_service_runs_once(bus):
    service = bus.service("s").open()
    with pytest.raises(ClosedError, match="make a new one"):
        service.open()
    service.close()
    with pytest.raises(ClosedError, match="make a new one"):
        service.open()


def test_a_service_closed_before_it_opens_is_never_registered(bus):
    service = bus.service("s")
    service.close()
    with pytest.raises(ClosedError, match="make a new one"):
        service.open()
    assert "s" not in bus.directory


def test_a_service_that_is_not_open_can_neither_report_nor_write(bus):
    before = everything(bus.redis)
    service = bus.service("s")
    with pytest.raises(ClosedError, match="not open"):
        service.report("ready")
    with pytest.raises(FencedError):
        service.state["f"] = 1
    assert not service.wait(0)
    assert everything(bus.redis) == before


def test_a_failed_open_leaves_no_thread_and_no_key(bus):
    with bus.service("s", ttl_s=3600):
        before, threads = everything(bus.redis), threading.active_count()
        with pytest.raises(ServiceNameTakenError):
            bus.service("s", exclusive=True).open()
        assert everything(bus.redis) == before
        assert threading.active_count() == threads


def test_writes_of_an_ended_service_are_refused(bus):
    """The twin: an unfenced state takes them."""
    with bus.service("s") as service:
        mine, unfenced = service.state, State(bus.redis, "s")
        mine["f"] = 1
    with pytest.raises(FencedError, match="'s' is not registered, or is registered as another incarnation"):
        mine["f"] = 2
    assert unfenced["f"] == 1
    unfenced["f"] = 3
    assert mine["f"] == 3
    unfenced.clear()


WRITES = {
    "set": lambda state: state.update(f=2),
    "add": lambda state: state.add("g", 2),
    "modify": lambda state: state.modify("f", lambda value: value + 1),
    "delete": lambda state: state.pop("f"),
    "clear": lambda state: state.clear(),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_every_write_of_a_superseded_incarnation_is_refused(bus, write):
    with bus.service("s", ttl_s=3600) as old:
        stale = old.state
        stale["f"] = 1
        bus.directory.withdraw("s", old.incarnation, reason="expired")
        with bus.service("s", ttl_s=3600) as successor:
            with pytest.raises(FencedError):
                write(stale)
            assert successor.state.snapshot() == {"f": 1}
            successor.state["f"] = 2
            assert stale["f"] == 2
    bus.state("s").clear()


def test_a_service_named_like_a_placeholder_is_announced_by_its_name(bus):
    with bus.directory.watch() as changes, bus.service("@incarnation@") as service:
        assert changes.get(5) == Available("@incarnation@", service.incarnation)


def test_repr_shows_name_incarnation_and_whether_it_has_ended(bus):
    with bus.service("s") as service:
        assert repr(service) == f"<Service 's' incarnation {service.incarnation}>"
    assert repr(service) == f"<Service 's' incarnation {service.incarnation} (ended)>"


def test_a_service_that_ends_during_an_outage_is_left_to_its_deadline(own_server, connect_to, caplog):
    bus = connect_to(own_server)
    with bus.service("s", ttl_s=3600) as service:
        own_server.kill()
    assert service.wait(0)
    assert "service 's' could not be withdrawn and expires when its ttl is over" in caplog.text
    own_server.restart()
    assert notify.Directory(bus.redis).lookup("s").incarnation == service.incarnation
