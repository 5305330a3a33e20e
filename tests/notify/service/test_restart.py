"""A service that is killed and restarted gets its name and its state back, on the same host at once, on another one after the ttl."""

import shutil
import subprocess
import time

import pytest

import notify
from notify import ServiceNotFoundError
from notify.process import ProcessIdentity, identity
from notify.service import registration
from notify.testing import wait_until

pytestmark = pytest.mark.any_server

TTL_S = 0.8
HERE, ELSEWHERE = "", "another-host"
CONTAINER = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]


def _has_namespaces() -> bool:
    return shutil.which("unshare") is not None and subprocess.run([*CONTAINER, "true"], capture_output=True).returncode == 0


namespaces = pytest.mark.skipif(not _has_namespaces(), reason="this system makes no pid namespaces for its users")


@pytest.fixture(autouse=True)
def _forget_the_killed(bus):
    """Set up before the processes, and so called after the last one was killed: nobody withdraws them."""
    yield
    bus.redis.flushall()


def _killed_service(bus, server, start, **how):
    """A service that has written its state and was killed with -9; and when that was."""
    process = start("restarted_service", server.url, "inventory", TTL_S, HERE, "wait", **how)
    process.go()
    assert process.told()["name"] == "inventory"
    bus.state("inventory")["stock"] = 7
    process.kill()
    return process, time.monotonic()


@pytest.mark.parametrize("after_s", [0, 0.5, TTL_S, 2 * TTL_S])
@pytest.mark.parametrize("host", [HERE, ELSEWHERE], ids=["same host", "other host"])
def test_N5_a_restarted_service_has_its_name_and_state_within_ttl_and_a_second(bus, server, start, host, after_s, record_property):
    """Nobody else sweeps: the clients only look up."""
    newcomer = start("restarted_service", server.url, "inventory", TTL_S, host, "wait")
    _, killed_at = _killed_service(bus, server, start)
    wait_until(lambda: time.monotonic() >= killed_at + after_s)  # the time that the restart takes
    restarted_at = time.monotonic()
    newcomer.go()
    first = newcomer.told()
    if host == HERE:
        assert first == {"name": "inventory", "standby_for": "", "state": {"stock": 7}}
    wait_until(lambda: _asked(newcomer)["name"] == "inventory", timeout_s=TTL_S + 1)
    took_s = time.monotonic() - restarted_at
    record_property("took_s", round(took_s, 2))
    assert took_s <= TTL_S + 1
    assert _asked(newcomer)["state"] == {"stock": 7}
    assert bus.directory.lookup("inventory").pid == newcomer.pid
    assert [service.name for service in bus.directory] == ["inventory"]


def test_N5_the_twin_with_a_suffix_for_ever_never_gets_its_name_back(bus, server, start):
    newcomer = start("restarted_service", server.url, "inventory", TTL_S, ELSEWHERE, "suffix")
    _, killed_at = _killed_service(bus, server, start)
    newcomer.go()
    assert newcomer.told()["name"] == "inventory-2"
    wait_until(lambda: "inventory" not in bus.directory, timeout_s=2 * TTL_S + 1)
    wait_until(lambda: time.monotonic() >= killed_at + TTL_S + 1)
    assert _asked(newcomer) == {"name": "inventory-2", "standby_for": "", "state": {}}
    with pytest.raises(ServiceNotFoundError):
        bus.directory.lookup("inventory")


def _asked(process):
    """What a restarted service says of itself now."""
    process.go()
    return process.told()


@pytest.mark.parametrize("policy", ["wait", "suffix", "refuse"])
def test_the_name_of_a_dead_process_is_taken_over_by_every_kind_of_service(bus, server, start, policy):
    """It is withdrawn exactly once, with its reason, in the step that registers the new one."""
    process, _ = _killed_service(bus, server, start)
    old = bus.directory.lookup("inventory").incarnation
    with bus.directory.watch("inventory") as changes, bus.service("inventory", ttl_s=3600, standby=policy) as service:
        assert service.name == "inventory"
        why = f"its process {process.pid} is gone"
        expected = [notify.Available("inventory", old), notify.Withdrawn("inventory", old, "expired", why)]
        assert [changes.get(5) for _ in range(3)] == [*expected, notify.Available("inventory", service.incarnation)]
    assert bus.directory.last_end("inventory").reason == "withdrawn"


def test_a_restarted_instance_takes_the_name_with_the_suffix_that_it_had(bus, server, start):
    with bus.service("inventory", ttl_s=3600, instances=True):
        process = start("restarted_service", server.url, "inventory", 3600, HERE, "suffix")
        process.go()
        assert process.told()["name"] == "inventory-2"
        with bus.service("inventory", ttl_s=3600, instances=True) as third:
            process.kill()
            with bus.service("inventory", ttl_s=3600, instances=True) as again:
                assert (third.name, again.name) == ("inventory-3", "inventory-2")


def test_a_dead_service_that_only_has_such_a_name_is_not_taken_for_an_instance(bus, server, start):
    process = start("restarted_service", server.url, "inventory-2", 3600, HERE, "wait")
    process.go()
    process.told()
    process.kill()
    with bus.service("inventory", ttl_s=3600), bus.service("inventory", ttl_s=3600) as standby:
        assert standby.name == "inventory-3"
        with bus.service("inventory-2", ttl_s=3600) as restarted:
            assert restarted.name == "inventory-2"


def test_a_frozen_process_keeps_its_name(bus, server, start):
    """It may go on at any moment. Its heartbeats are missing, and only the ttl may judge it."""
    process = start("restarted_service", server.url, "inventory", 3600, HERE, "wait")
    process.go()
    process.told()
    process.freeze()
    with bus.service("inventory", ttl_s=3600) as service:
        assert (service.name, service.standby_for) == ("inventory-2", "inventory")
        assert bus.directory.lookup("inventory").pid == process.pid


def test_the_twin_without_the_check_of_the_process_throws_a_living_service_out(bus, server, start, monkeypatch):
    monkeypatch.setattr(ProcessIdentity, "is_certainly_dead", lambda _: True)
    process = start("restarted_service", server.url, "inventory", 3600, HERE, "wait")
    process.go()
    process.told()
    with bus.service("inventory", ttl_s=3600) as service:
        assert service.name == "inventory"


@namespaces
def test_a_service_in_another_container_keeps_its_name(bus, server, start):
    """Both have the same host name and the same boot, and here no process has its pid, or another one has."""
    process = start("restarted_service", server.url, "inventory", 3600, HERE, "wait", prefix=CONTAINER)
    process.go()
    process.told()
    holder = bus.directory.lookup("inventory")
    with bus.service("inventory", ttl_s=3600) as service:
        assert (holder.pid, holder.host) == (1, service.info.host)
        assert (service.name, service.standby_for) == ("inventory-2", "inventory")


@namespaces
def test_the_twin_without_the_namespace_throws_a_service_in_another_container_out(bus, server, start, monkeypatch):
    process = start("restarted_service", server.url, "inventory", 3600, HERE, "wait", prefix=CONTAINER)
    process.go()
    process.told()
    space = bus.redis.hget(bus.keys.service("inventory"), "space").decode()
    me = identity.this_process()
    assert space.split()[0] == me.space.split()[0]
    monkeypatch.setattr(identity, "this_process", lambda: ProcessIdentity(me.host, me.pid, space, me.started))
    with bus.service("inventory", ttl_s=3600) as service:
        assert service.name == "inventory"


@namespaces
def test_N5_a_service_that_restarts_in_a_new_container_has_its_name_after_the_ttl(bus, server, start):
    newcomer = start("restarted_service", server.url, "inventory", TTL_S, HERE, "wait", prefix=CONTAINER)
    _killed_service(bus, server, start, prefix=CONTAINER)
    newcomer.go()
    first = newcomer.told()
    assert (first["name"], first["standby_for"]) == ("inventory-2", "inventory")
    wait_until(lambda: _asked(newcomer)["name"] == "inventory", timeout_s=TTL_S + 1)
    assert _asked(newcomer)["state"] == {"stock": 7}


def test_a_standby_on_the_same_host_need_not_wait_for_the_ttl(bus, server, start):
    process = start("restarted_service", server.url, "inventory", 3600, HERE, "wait")
    process.go()
    process.told()
    with bus.service("inventory", ttl_s=3600) as standby:
        process.kill()
        assert standby.wait_for_name(5)
        assert standby.name == "inventory"


def test_a_take_over_that_meets_a_change_is_tried_again(bus, server, start, monkeypatch):
    """The race: the dead service was withdrawn, and another one has the name, when the newcomer takes it over."""
    _killed_service(bus, server, start)
    take_over = registration.DirectoryScripts.take_over
    others = []

    def take_over_late(scripts, old, new, **how):
        if not others:
            bus.directory.withdraw(*old, reason="expired")
            others.append(bus.service("inventory", ttl_s=3600, exclusive=True).open())
        return take_over(scripts, old, new, **how)

    monkeypatch.setattr(registration.DirectoryScripts, "take_over", take_over_late)
    with bus.service("inventory", ttl_s=3600) as service:
        assert (others[0].name, service.name, service.standby_for) == ("inventory", "inventory-2", "inventory")
        others[0].close()
