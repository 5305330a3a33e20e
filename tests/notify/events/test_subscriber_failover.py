"""Failover with a publisher and a subscriber: to a replica that lags, and through Sentinels."""

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
"""How long publishing may fail after a master was killed."""
TWO_PROBES_S = 2 * 3.0
"""A probe is a ping after a second of silence, and two seconds for the answer."""


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
    """Kill or freeze the master, and wait for another one."""
    old = replicated.master
    replicated.signal(old, fault)
    wait_until(lambda: replicated.master != old, timeout_s=10, what="another master")


def _lag_and_fail_over(pair: Pair, bus: notify.Bus) -> tuple[str, list[str]]:
    """Publish events with and without the replica, and continue on the replica. Returns the ids of the events."""
    kept = bus.publish("t", "kept")
    pair.wait_for_replica()
    pair.let_replica_lag()
    return kept, [bus.publish("t", number) for number in range(3)]


def _publish_after(pair: Pair, bus: notify.Bus) -> None:
    pair.fail_over()
    bus.redis.connection_pool.disconnect()
    bus.publish("t", "after")


def test_N6_the_promotion_of_a_lagging_replica_is_one_rollback_gap(pair, collect):
    """Experiment 11: events that only the killed master had are lost, although they were delivered."""
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


def test_N6_the_twin_of_the_rollback_gets_no_gap(pair):
    """Experiment 11, the twin: plain redis-py is not told that events that it received are gone."""
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


def test_N6_after_a_master_is_killed_acknowledged_events_arrive_or_are_in_a_gap(replicated):
    """Experiment 12: publishing resumes; every acknowledged event is delivered or covered by a gap."""
    received: list[notify.Event | Gap] = []
    with _subscriber(replicated) as events, Publishing(replicated.url) as publishing:
        _read_until(events, received, 100)
        struck_at = time.monotonic()
        _strike(replicated, signal.SIGKILL)
        publishing.go_on_for(20, timeout_s=struck_at + RESUMES_S - time.monotonic())
        publishing.stop()
        _read_until(events, received, publishing.acknowledged[-1])
    _check_whole(received, publishing.acknowledged)


def test_N6_the_twin_of_the_killed_master_loses_events(replicated):
    """Experiment 12, the twin: plain redis-py loses the events before its reconnect, without an error."""
    with _plain_subscriber(replicated) as plain, Publishing(replicated.url) as publishing:
        received = _read_plain_until(plain, 100)
        _strike(replicated, signal.SIGKILL)
        publishing.go_on_for(20, timeout_s=RESUMES_S)
        received.append(wait_until(lambda: plain.get(1)))  # it is connected again and gets new events only
        publishing.stop()
        received += plain.rest()
    assert received[-1] == publishing.acknowledged[-1]
    assert len(set(publishing.acknowledged) - set(received)) >= 20


def test_N6_when_a_master_hangs_the_subscriber_moves_within_two_probes(replicated):
    """Experiment 13: the master is frozen, and the subscriber connects to the new one."""
    received: list[notify.Event | Gap] = []
    with _subscriber(replicated) as events, Publishing(replicated.url) as publishing:
        _read_until(events, received, 100)
        frozen_at = time.monotonic()
        replicated.signal(replicated.master, signal.SIGSTOP)
        # Events that the old master had sent arrive first; later ones come from another master.
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


def test_N6_the_twin_of_the_hanging_master_gets_neither_event_nor_error(replicated):
    """Experiment 13, the twin: plain redis-py receives nothing and raises nothing for the time of two probes."""
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
