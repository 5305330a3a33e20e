"""Probes: whether a worker or a service is well."""

import notify
from notify.testing import wait_until
from tests.workers.conftest import StartWorkers
from workers.overview.probes import leases_missing, service_problem, worker_problem


def test_a_worker_is_well_while_it_holds_its_lease(bus: notify.Bus, start_workers: StartWorkers) -> None:
    assert worker_problem(bus.redis) == "no worker holds a lease"
    pool = start_workers()
    wait_until(lambda: worker_problem(bus.redis) == "", timeout_s=15)
    (name,) = pool.names
    assert worker_problem(bus.redis, name=name[:8]) == ""
    assert worker_problem(bus.redis, name="somebody") == "no worker called 'somebody' holds a lease"
    assert worker_problem(bus.redis, host="elsewhere") == "no worker holds a lease on elsewhere"
    assert leases_missing(bus.redis, [name, "gone"]) == ["gone"]
    bus.redis.zadd(bus.keys.leases, {"old": 1})
    assert worker_problem(bus.redis, name="old") == "no worker called 'old' holds a lease"


def test_a_service_is_well_while_it_is_registered_and_not_overdue(bus: notify.Bus) -> None:
    assert service_problem(bus, "storage") == "no service called 'storage' is registered"
    with bus.service("storage"):
        assert service_problem(bus, "storage") == ""
        bus.redis.hincrby(bus.keys.service("storage"), "beat_ms", -3_600_000)
        assert "storage is silent for" in service_problem(bus, "storage")
