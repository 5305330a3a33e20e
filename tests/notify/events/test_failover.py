"""A failover under a publisher and a subscriber: to a replica that lags, and through Sentinels."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
from redis.sentinel import Sentinel

import notify
from notify import Gap
from notify.testing import wait_until
from tests.support.faults import Plain, Publishing, plain_subscriber
from tests.support.sentinels import MASTER, Pair, Replicated

pytestmark = pytest.mark.slow

RESUMES_S = 5.0
"""How long publishing may stand still when a master was killed."""
TWO_PROBES_S = 2 * 3.0
"""A probe is a question after a second of silence, and two seconds for the answer."""


@pytest.fixture
def pair() -> Iterator[Pair]:
    with Pair() as running:
        yield running


@pytest.fixture
def replicated() -> Iterator[Replicated]:
    with Replicated() as running:
        yield running


@contextmanager
def _subscriber(replicated: Replicated) -> Iterator[notify.Subscriber]:
    settings = notify.Settings(url=replicated.url, connect_timeout_s=0.5, command_timeout_s=0.5)
    with notify.connect(settings=settings) as bus, bus.subscribe("t") as events:
        yield events


@contextmanager
def _plain_subscriber(replicated: Replicated) -> Iterator[Plain]:
    sentinel = Sentinel(replicated.sentinels, socket_timeout=0.5)
    try:
        with plain_subscriber(sentinel.master_for(MASTER, socket_timeout=0.5)) as plain:
            yield plain
    finally:
        for client in sentinel.sentinels:
            client.close()


def _strike(replicated: Replicated, fault: signal.Signals) -> None:
    """Let the master fall, and wait for another."""
    old = replicated.master
    replicated.signal(old, fault)
    wait_until(lambda: replicated.master != old, timeout_s=10, what="another master")


def _lag_and_fail_over(pair: Pair, bus: notify.Bus) -> tuple[str, list[str]]:
    """Publish something that the replica has and something that it has not, and go on there. Returns their ids."""
    kept = bus.publish("t", "kept")
    pair.wait_for_replica()
    pair.let_replica_lag()
    return kept, [bus.publish("t", number) for number in range(3)]


def _publish_after(pair: Pair, bus: notify.Bus) -> None:
    pair.fail_over()
    bus.redis.connection_pool.disconnect()
    bus.publish("t", "after")


def test_N6_a_lagging_replica_that_is_put_in_charge_is_one_gap_that_says_rollback(pair, collect):
    """Experiment 11: what only the killed master had is gone, also for those who saw it."""
    with notify.connect(pair.url) as bus, bus.subscribe("t") as events:
        kept, lost = _lag_and_fail_over(pair, bus)
        assert [event.id for event in collect(events, 4)] == [kept, *lost]
        _publish_after(pair, bus)
        gap, after = collect(events, 2, timeout_s=10)
        positions = events.positions
        assert gap == Gap("t", "rollback", first=kept, last=lost[-1])
        assert after.contents == "after"
        with bus.subscribe("t", since=positions) as later:
            assert collect(later, 0) == []


def test_N6_the_twin_of_the_rollback_plain_redis_py_is_not_told_that_what_it_saw_is_gone(pair):
    """Experiment 11, the twin."""
    with notify.connect(pair.url) as bus, plain_subscriber(redis.Redis.from_url(pair.url)) as plain:
        _lag_and_fail_over(pair, bus)
        assert [plain.get(5) for _ in range(4)] == ["kept", 0, 1, 2]
        pair.fail_over()
        assert plain.get(0.1) is None  # it is subscribed again
        bus.redis.connection_pool.disconnect()
        bus.publish("t", "after")
        assert plain.rest() == ["after"]
        assert _logged(bus) == ["kept", "after"]


def _logged(bus: notify.Bus) -> list[object]:
    with bus.subscribe("t", since="start") as events:
        return [event.contents for event in iter(lambda: events.get(0.1), None)]


def test_N6_when_a_master_is_killed_publishing_resumes_and_all_that_was_acknowledged_comes_or_a_gap_tells(replicated):
    """Experiment 12."""
    received: list[notify.Event | Gap] = []
    with _subscriber(replicated) as events, Publishing(replicated.url) as publishing:
        _read_until(events, received, 100)
        struck_at = time.monotonic()
        _strike(replicated, signal.SIGKILL)
        publishing.go_on_for(20, timeout_s=struck_at + RESUMES_S - time.monotonic())
        publishing.stop()
        _read_until(events, received, publishing.acknowledged[-1])
    _check_whole(received, publishing.acknowledged)


def test_N6_the_twin_of_the_killed_master_plain_redis_py_loses_what_comes_before_it_is_back(replicated):
    """Experiment 12, the twin: the same run, and nobody says that anything is missing."""
    with _plain_subscriber(replicated) as plain, Publishing(replicated.url) as publishing:
        received = _read_plain_until(plain, 100)
        _strike(replicated, signal.SIGKILL)
        publishing.go_on_for(20, timeout_s=RESUMES_S)
        received.append(wait_until(lambda: plain.get(1)))  # it is back, and what it gets is new
        publishing.stop()
        received += plain.rest()
    assert received[-1] == publishing.acknowledged[-1]
    assert len(set(publishing.acknowledged) - set(received)) >= 20


def test_N6_when_a_master_hangs_the_subscriber_is_at_another_one_within_two_probes(replicated):
    """Experiment 13."""
    received: list[notify.Event | Gap] = []
    with _subscriber(replicated) as events, Publishing(replicated.url) as publishing:
        _read_until(events, received, 100)
        frozen_at = time.monotonic()
        replicated.signal(replicated.master, signal.SIGSTOP)
        # What the old one had sent is still to come; what comes after that comes from another.
        while (item := events.get(0.3)) is not None:
            received.append(item)
        item = events.get(TWO_PROBES_S)
        moved_s = time.monotonic() - frozen_at
        assert item is not None
        received.append(item)
        publishing.stop()
        _read_until(events, received, publishing.acknowledged[-1])
    assert moved_s < TWO_PROBES_S
    _check_whole(received, publishing.acknowledged)


def test_N6_the_twin_of_the_master_that_hangs_plain_redis_py_hears_nothing_and_gets_no_error(replicated):
    """Experiment 13, the twin: for as long as two probes take, while others publish at the new master."""
    with _plain_subscriber(replicated) as plain, Publishing(replicated.url) as publishing:
        _read_plain_until(plain, 100)
        frozen_at = time.monotonic()
        _strike(replicated, signal.SIGSTOP)
        plain.rest()
        publishing.go_on_for(20, timeout_s=10)
        assert plain.rest(quiet_s=frozen_at + TWO_PROBES_S - time.monotonic()) == []
        assert plain.errors == 0


def _read_until(events: notify.Subscriber, received: list[notify.Event | Gap], number: int) -> None:
    deadline = time.monotonic() + 20
    while not any(not isinstance(item, Gap) and item.contents >= number for item in received[-1000:]):
        assert time.monotonic() < deadline, f"{number} never came; {len(received)} did, the last is {received[-1:]}"
        item = events.get(1)
        received.extend([] if item is None else [item])


def _read_plain_until(plain: Plain, number: int) -> list[int]:
    received = [0]
    while received[-1] < number:
        received.append(wait_until(lambda: plain.get(1)))
    return received


def _check_whole(received: list[notify.Event | Gap], acknowledged: list[int]) -> None:
    numbers = [item.contents for item in received if not isinstance(item, Gap)]
    gaps = [item for item in received if isinstance(item, Gap)]
    assert numbers == sorted(set(numbers))
    assert set(acknowledged) <= set(numbers) or gaps
