"""Repeated registration: with lost answers, and with names that other services hold."""

import pytest

import notify
from notify import Available, ServerUnreachableError, ServiceNameTakenError, Withdrawn
from notify.directory import DirectoryScripts
from notify.events import EventScripts
from notify.events.publisher import publish
from notify.process import ProcessIdentity
from notify.server import ScriptRunner
from notify.service.naming import Names
from notify.testing import wait_until
from tests.support.faults import beat, commands_during
from tests.support.proxy import Proxy


@pytest.fixture
def far(proxy: Proxy):
    """A bus whose answers can be lost."""
    with notify.connect(proxy.url, name="far") as connected:
        yield connected


def _lose(proxy: Proxy, scripts: ScriptRunner, script: str) -> None:
    """Lose the answer to the next run of a script."""
    proxy.lose_answers(1, command=scripts.digest(script).encode())


def test_a_lost_answer_does_not_register_a_service_twice(bus, far, proxy):
    """It registers again under its name and as one incarnation."""
    with bus.directory.watch() as changes, far.service("storage", ttl_s=0.6, provides={"store"}) as service:
        first = service.incarnation
        assert changes.get(5) == Available("storage", first)
        _lose(proxy, DirectoryScripts(bus.redis), "register")
        bus.directory.withdraw("storage", first, reason="expired")
        assert changes.get(5) == Withdrawn("storage", first, "expired")
        wait_until(lambda: service.incarnation > first)
        assert (proxy.lost, service.name) == (1, "storage")
        assert changes.get(5) == Available("storage", service.incarnation)
        assert changes.get(2) is None  # more than a ttl: a second registration, without heartbeats, would have been withdrawn
        assert bus.redis.zrange(bus.keys.provides("store"), 0, -1) == [b"storage"]


@pytest.mark.parametrize("exclusive", [True, False])
def test_open_can_be_repeated_after_a_lost_answer(bus, far, proxy, exclusive):
    """The second attempt does not take the first one for another service."""
    with far.service("warm"):
        pass  # the script is loaded
    with bus.directory.watch() as changes:
        service = far.service("storage", ttl_s=3600, exclusive=exclusive)
        _lose(proxy, DirectoryScripts(bus.redis), "register")
        with pytest.raises(ServerUnreachableError, match="registering 'storage'"):
            service.open()
        (registered,) = bus.directory
        with service:
            assert (service.name, service.incarnation) == ("storage", registered.incarnation)
            assert changes.get(5) == Available("storage", registered.incarnation)
            assert changes.get(0.05) is None


def test_a_standby_whose_registration_had_no_answer_is_registered_once(bus, far, proxy, monkeypatch):
    first_free = Names.first_free

    def look_then_lose(names: Names, before: list[str]) -> object:
        found = first_free(names, before)
        _lose(proxy, DirectoryScripts(bus.redis), "register")
        return found

    with bus.service("storage", ttl_s=3600), far.service("warm"):
        standby = far.service("storage", ttl_s=3600)
        monkeypatch.setattr(Names, "first_free", look_then_lose)
        with pytest.raises(ServerUnreachableError):
            standby.open()
        with standby:
            assert (standby.name, standby.standby_for, len(bus.directory.find_all())) == ("storage-2", "storage", 3)
            assert bus.redis.zcard(bus.keys.standby("storage")) == 1


def test_a_take_over_whose_answer_was_lost_is_not_repeated(bus, far, proxy, monkeypatch):
    monkeypatch.setattr(ProcessIdentity, "is_certainly_dead", lambda _: True)
    with bus.service("warm", ttl_s=3600) as warm, far.service("warm", ttl_s=3600):
        warm.close()  # the script is loaded
    old = bus.service("storage", ttl_s=3600).open()
    service = far.service("storage", ttl_s=3600)
    _lose(proxy, DirectoryScripts(bus.redis), "take_over")
    with pytest.raises(ServerUnreachableError):
        service.open()
    registered = bus.directory.lookup("storage")
    assert registered.incarnation > old.incarnation
    with service:
        assert (service.name, service.incarnation) == ("storage", registered.incarnation)
    old.close()


def test_a_promotion_whose_withdrawal_had_no_answer_is_complete(bus, far, proxy):
    """The withdrawal is one step with the promotion: it is done, or nothing is."""
    holder = far.service("storage", ttl_s=3600).open()
    with bus.service("storage", ttl_s=3600) as standby:
        with far.service("warm"):
            pass
        _lose(proxy, DirectoryScripts(bus.redis), "withdraw")
        holder.close()
        assert standby.wait_for_name(5)
        assert [service.name for service in bus.directory] == ["storage"]


def test_open_takes_another_name_if_the_unconfirmed_one_is_taken_by_now(bus, far, proxy):
    with far.service("warm"):
        pass
    service = far.service("storage", ttl_s=3600)
    _lose(proxy, DirectoryScripts(bus.redis), "register")
    with pytest.raises(ServerUnreachableError):
        service.open()
    bus.directory.kill("storage")
    with bus.service("storage", ttl_s=3600) as other, service:
        assert (other.name, service.name) == ("storage", "storage-2")


def test_a_repeated_registration_counts_as_a_heartbeat(bus, far, proxy):
    with far.service("warm"):
        pass
    service = far.service("storage", ttl_s=3600)
    _lose(proxy, DirectoryScripts(bus.redis), "register")
    with pytest.raises(ServerUnreachableError):
        service.open()
    member = f"storage#{bus.directory.lookup('storage').incarnation}"
    bus.redis.zadd(bus.keys.due, {member: 1})
    bus.redis.hset(bus.keys.service("storage"), "beat_ms", 1)
    with service:
        assert bus.redis.zscore(bus.keys.due, member) > 1
        assert bus.redis.hget(bus.keys.service("storage"), "beat_ms") != b"1"


def test_a_group_joined_after_a_lost_answer_is_joined_in_the_directory(bus, far, proxy):
    with far.service("storage", ttl_s=3600) as service:
        bus.directory.withdraw("storage", service.incarnation, reason="expired")
        _lose(proxy, DirectoryScripts(bus.redis), "register")
        beat(service)
        service.join("attic")
        beat(service)
        assert service.groups == bus.directory.lookup("storage").groups == {"attic"}
        assert bus.directory.find(group="attic").incarnation == service.incarnation


def test_a_taken_exclusive_name_is_refused_without_a_search(bus):
    with bus.service("storage", ttl_s=3600), bus.service("other", ttl_s=3600):
        refused = bus.service("storage", exclusive=True)

        def open_it() -> None:
            with pytest.raises(ServiceNameTakenError):
                refused.open()

        open_it()  # loads the script
        commands = commands_during(bus.redis, open_it)
        assert [command.split()[0] for command in commands] == ["EVALSHA", "SMISMEMBER", "HMGET"]


def test_a_service_reports_its_return_once_despite_a_lost_answer(bus, far, proxy, collect, caplog):
    with far.service("storage", ttl_s=0.6) as service, bus.subscribe("storage_status") as status:
        service.report("warm")
        first = service.incarnation
        _lose(proxy, EventScripts(bus.redis), "publish")
        bus.directory.withdraw("storage", first, reason="expired")
        contents = [event.contents for event in collect(status, 3, quiet_s=1.5)]
    assert proxy.lost == 1
    assert (contents[0], str(contents[1]), contents[2]) == ("warm", "storage expired", "storage is back: it was expired")
    assert "register again yet" not in caplog.text


def test_a_report_of_a_return_that_failed_is_repeated(bus, monkeypatch, collect, caplog):
    """The service stays the same incarnation."""
    tries = []

    def publish_at_the_third_try(*args: object, **how: object) -> str:
        tries.append(args)
        if len(tries) < 3:
            raise ServerUnreachableError("no answer while publishing")
        return publish(*args, **how)

    with bus.service("storage", ttl_s=0.6) as service, bus.subscribe("storage_status") as status:
        first = service.incarnation
        monkeypatch.setattr("notify.service.report.publish", publish_at_the_third_try)
        bus.directory.withdraw("storage", first, reason="expired")
        wait_until(lambda: service.incarnation > first)
        back = service.incarnation
        assert [event.contents for event in collect(status, 2, quiet_s=1)][1] == "storage is back: it was expired"
        assert (service.incarnation, len(tries)) == (back, 3)
    assert "registering 'storage' again is not complete yet: no answer while publishing" in caplog.text
