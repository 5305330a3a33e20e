"""Each finding about services, the sweep, subscribers and lifetimes, provoked on a real server."""

import socket
from collections.abc import Callable

import msgspec

import notify
from notify.testing import PrivateServer, wait_until
from workers.overview.doctor import Finding, examine
from workers.overview.doctor import services as checks
from workers.overview.doctor.lifetimes import immortal_families

Connect = Callable[..., notify.Bus]


def found(bus: notify.Bus, name: str) -> list[Finding]:
    return [finding for finding in examine(bus) if finding.name == name]


def levels(bus: notify.Bus, name: str) -> list[str]:
    return [finding.level for finding in found(bus, name)]


def test_an_overdue_service_is_told_and_not_withdrawn(bus: notify.Bus) -> None:
    with bus.service("storage", ttl_s=5):
        assert levels(bus, "services") == ["ok"]
        bus.redis.hincrby(bus.keys.service("storage"), "beat_ms", -3_600_000)
        (finding,) = found(bus, "services")
        assert (finding.level, "storage (process" in finding.what) == ("error", True)
        assert bus.redis.sismember(bus.keys.services, "storage")


def test_a_directory_that_nobody_sweeps_is_told(bus: notify.Bus) -> None:
    assert levels(bus, "sweep") == ["ok"]
    bus.redis.sadd(bus.keys.services, "left")
    bus.redis.hset(bus.keys.sweep, "at_ms", 1)
    (finding,) = found(bus, "sweep")
    assert (finding.level, "notify monitor" in finding.remedy) == ("error", True)
    bus.redis.hset(bus.keys.sweep, "alarm", "1")
    assert levels(bus, "sweep") == ["error", "error"]
    bus.redis.delete(bus.keys.services, bus.keys.sweep)


def test_a_subscriber_that_does_not_read_is_told(own_server: PrivateServer) -> None:
    with notify.connect(own_server.url) as bus, socket.socket(socket.AF_UNIX) as deaf:
        bus.redis.config_set("client-output-buffer-limit", "pubsub 0 0 0")
        deaf.connect(str(own_server.directory / "redis.sock"))
        deaf.sendall(b"CLIENT SETNAME deaf\r\nSUBSCRIBE notify:event:t\r\n")
        wait_until(lambda: bus.redis.pubsub_numsub("notify:event:t")[0][1] == 1)
        assert levels(bus, "subscribers") == ["ok"]
        for _ in range(1_000):
            bus.redis.publish("notify:event:t", "x" * 5_000)
        (finding,) = found(bus, "subscribers")
        assert (finding.level, "subscriber deaf" in finding.what) == ("warning", True)


def test_a_stored_position_that_lags_is_told(bus: notify.Bus) -> None:
    bus.publish("t", 1)
    last = bus.redis.hget(bus.keys.topic("t"), "last").decode()
    put_position(bus, "t", last)
    assert levels(bus, "subscribers") == ["ok"]
    put_position(bus, "t", f"{int(last.partition('-')[0]) - 2 * checks.BEHIND_S * 1000:.0f}-0")
    (finding,) = found(bus, "subscribers")
    assert (finding.level, "the position 'flow' is 120 s behind in topic 't'" in finding.what) == ("warning", True)


def put_position(bus: notify.Bus, topic: str, taken: str) -> None:
    bus.redis.set(bus.keys.position("flow"), msgspec.json.encode({"topics": {topic: taken}, "at": "2026-01-01T00:00:00Z"}), ex=60)


def test_a_key_without_a_lifetime_is_told(bus: notify.Bus) -> None:
    bus.publish("t", 1)
    with bus.service("storage", provides={"store"}, groups={"lab"}) as storage:
        storage.state["a"] = 1
        assert levels(bus, "lifetimes") == ["ok"]
        bus.redis.persist(bus.keys.log("t"))
        (finding,) = found(bus, "lifetimes")
        assert (finding.level, bus.keys.log("t") in finding.what) == ("warning", True)
        bus.redis.expire(bus.keys.log("t"), 60)
        bus.state("storage").clear()


def test_the_keys_that_may_live_forever_are_those_that_the_data_model_lists() -> None:
    keys = notify.keys.Keys("ns")
    rows = [line.split() for line in (notify.keys.__doc__ or "").splitlines() if line.startswith("ns:")]
    listed = {
        row[0].partition("<")[0] for row in rows if " ".join(row).endswith(("while there is one", "while there is a service", "purged"))
    }
    assert listed == set(immortal_families(keys))
