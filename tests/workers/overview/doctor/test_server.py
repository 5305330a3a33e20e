"""Each finding about the server, provoked on a real server."""

from collections.abc import Iterator

import pytest

import notify
from notify.testing import PrivateServer
from tests.support.proxy import Proxy
from workers.overview.doctor import Finding, examine
from workers.overview.doctor import server as checks
from workers.overview.doctor.facts import Facts
from workers.overview.doctor.vulnerabilities import check_version


@pytest.fixture
def own_bus(own_server: PrivateServer) -> Iterator[notify.Bus]:
    """A bus on a server whose configuration may be changed."""
    with notify.connect(own_server.url) as connected:
        yield connected


def found(bus: notify.Bus, name: str) -> list[Finding]:
    return [finding for finding in examine(bus) if finding.name == name]


def level(bus: notify.Bus, name: str) -> str:
    """The level of the only finding with a name."""
    (finding,) = found(bus, name)
    assert bool(finding.remedy) == (finding.level != "ok"), finding
    return finding.level


def test_a_fresh_server_has_no_errors(own_bus: notify.Bus) -> None:
    assert [finding for finding in examine(own_bus) if finding.level == "error"] == []


def test_a_slow_answer_is_told(own_server: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with Proxy(own_server.directory / "redis.sock") as proxy, notify.connect(proxy.url) as bus:
        assert level(bus, "latency") == "ok"
        monkeypatch.setattr(checks, "SLOW_MS", 0.0)
        assert level(bus, "latency") == "warning"


def test_a_server_that_keeps_nothing_on_disk_is_told(own_bus: notify.Bus) -> None:
    own_bus.redis.config_set("appendonly", "no")
    own_bus.redis.config_set("save", "")
    assert level(own_bus, "persistence") == "warning"
    own_bus.redis.config_set("save", "3600 1")
    assert level(own_bus, "persistence") == "ok"
    facts = Facts(own_bus)
    facts.__dict__["info"] = {"aof_enabled": 1}
    assert [finding.level for finding in checks.check_persistence(facts)] == ["ok"]


def test_a_vulnerability_that_takes_a_setting_is_told_while_the_server_has_it(own_bus: notify.Bus) -> None:
    """Client eviction of Valkey 9.1.2: it is off by default."""
    facts = Facts(own_bus)
    facts.__dict__["info"] = {"valkey_version": "9.1.2"}
    assert [finding.level for finding in check_version(facts)] == ["ok"]
    if facts.setting("maxmemory-clients") is None:
        return  # Redis 6.2 has no such setting
    own_bus.redis.config_set("maxmemory-clients", "1gb")
    (finding,) = check_version(facts)
    assert (finding.level, "has CVE-2026-130822" in finding.what) == ("warning", True), "others cannot connect to a socket"
    assert finding.remedy.startswith("update to 9.1.4 or newer")


def test_a_snapshot_that_failed_is_told(own_bus: notify.Bus) -> None:
    facts = Facts(own_bus)
    facts.__dict__["info"] = {"aof_enabled": 1, "rdb_last_bgsave_status": "err", "aof_last_write_status": "err", "loading": 1}
    assert [finding.level for finding in checks.check_persistence(facts)] == ["error"] * 3


def test_a_replica_is_told(own_bus: notify.Bus) -> None:
    assert level(own_bus, "role") == "ok"
    own_bus.redis.replicaof("127.0.0.1", 1)
    assert level(own_bus, "role") == "error"


def test_a_policy_that_deletes_keys_is_told(own_bus: notify.Bus) -> None:
    assert level(own_bus, "eviction") == "ok"
    own_bus.redis.config_set("maxmemory-policy", "allkeys-lru")
    assert level(own_bus, "eviction") == "warning"
    own_bus.redis.config_set("maxmemory", "500mb")
    assert level(own_bus, "eviction") == "error"


def test_memory_that_is_nearly_full_is_told(own_bus: notify.Bus) -> None:
    assert level(own_bus, "memory") == "ok"
    used = own_bus.redis.info("memory")["used_memory"]
    own_bus.redis.config_set("maxmemory", round(used / 0.80))
    assert level(own_bus, "memory") == "warning"


def test_connections_that_are_nearly_used_up_are_told(own_bus: notify.Bus) -> None:
    assert level(own_bus, "connections") == "ok"
    facts = Facts(own_bus)
    facts.__dict__["info"] = {"connected_clients": 80, "maxclients": 100}
    assert [finding.level for finding in checks.check_clients(facts)] == ["warning"]
    facts.__dict__["info"] = {"connected_clients": 95, "maxclients": 100}
    assert [finding.level for finding in checks.check_clients(facts)] == ["error"]


@pytest.mark.parametrize(("ahead_s", "expected"), [(0.0, "ok"), (-5.0, "warning"), (30.0, "error")])
def test_a_clock_that_differs_is_told(bus: notify.Bus, monkeypatch: pytest.MonkeyPatch, ahead_s: float, expected: str) -> None:
    facts, now = Facts(bus), checks.time.time
    monkeypatch.setattr(checks.time, "time", lambda: now() + ahead_s)
    assert [finding.level for finding in checks.check_clock(facts)] == [expected]


def test_a_user_who_may_not_ask_gets_notes_and_no_error(own_server: PrivateServer, own_bus: notify.Bus) -> None:
    own_bus.redis.config_set("save", "3600 1")
    own_bus.redis.execute_command("ACL", "SETUSER", "lab", "on", ">hush", "~*", "&*", "+@all", "-@dangerous", "+client|setname")
    with notify.connect(own_server.url.replace("unix://", "unix://lab:hush@")) as bus:
        findings = list(examine(bus))
    notes = {finding.name for finding in findings if finding.level == "note"}
    assert {"persistence", "eviction", "memory", "connections", "rights", "subscribers"} <= notes
    assert [finding for finding in findings if finding.level == "error"] == []
