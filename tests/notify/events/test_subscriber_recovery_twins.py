"""The twins of test_subscriber_recovery: the same faults with plain redis-py, which loses events without an error.

If one of these tests fails, redis-py has changed, and the protection that it is the twin of may not be needed any more.
"""

import threading
from collections.abc import Iterator

import pytest
import redis

from notify.testing import PrivateServer
from tests.support.faults import Plain, cut, plain_subscriber, publish_and_cut, publish_unheard, trim

pytestmark = pytest.mark.any_server


EVENTS, CUTS = 3000, 40


@pytest.fixture
def plain(bus, server: PrivateServer) -> Iterator[Plain]:
    with plain_subscriber(redis.Redis.from_url(server.url, client_name="notify:plain")) as subscriber:
        yield subscriber


def test_N6_the_twin_of_the_40_cuts_loses_events(bus, plain):
    """Experiment 2, the twin: 40 cuts of the connection lose events."""
    received = []
    publishing = threading.Thread(target=lambda: publish_and_cut(bus, "plain", events=EVENTS, cuts=CUTS))
    publishing.start()
    while publishing.is_alive():
        received += plain.rest(quiet_s=0.1)
    publishing.join()
    assert 0 < len(received) < EVENTS


def test_N6_the_twin_of_the_last_event_that_was_lost_never_gets_it(bus, plain):
    """Experiment 3, the twin: redis-py reconnects silently, and events that were published in between are lost."""
    bus.publish("t", "heard")
    assert plain.rest() == ["heard"]
    cut(bus.redis, "plain")
    bus.publish("t", "last")
    assert plain.rest() == []
    assert bus.redis.pubsub_numsub("notify:event:t")[0][1] == 1


def test_N6_the_twin_of_the_frozen_server_detects_nothing(own_server, connect_to):
    """Experiment 4, the twin: the health check of redis-py sends a ping and ignores that there is no answer."""
    bus = connect_to(own_server)
    client = redis.Redis.from_url(own_server.url, health_check_interval=0.1, socket_timeout=0.1)
    with plain_subscriber(client) as plain:
        bus.publish("t", 1)
        assert plain.rest() == [1]
        own_server.freeze()
        assert [plain.get(0.2) for _ in range(15)] == [None] * 15
        own_server.thaw()
        assert plain.errors == 0


def test_N6_the_twin_of_the_slow_reader_loses_events(own_server, connect_to):
    """Experiment 5, the twin: the server closes the connection of a slow reader, and events are lost."""
    bus = connect_to(own_server)
    bus.redis.config_set("client-output-buffer-limit", "pubsub 200kb 0 0")
    with plain_subscriber(redis.Redis.from_url(own_server.url)) as plain:
        for number in range(3000):
            bus.publish("t", [number, "x" * 1000])
        before = plain.rest()
        bus.publish("t", [3000, ""])
        assert [number for number, _ in plain.rest()] == [3000]
    assert len(before) < 3000


def test_N6_the_twin_that_was_away_longer_than_the_log_reaches_gets_no_gap(bus, plain):
    """Experiment 6, the twin: events that were trimmed are missing without an error."""
    bus.publish("t", "seen")
    assert plain.rest() == ["seen"]
    cut(bus.redis, "plain")
    for number in range(10):
        publish_unheard(bus, "t", number)
    trim(bus, "t", keep=1)
    assert plain.rest() == []
    bus.publish("t", "live")
    assert plain.rest() == ["live"]


def test_N6_the_twin_of_a_server_that_lost_its_data_gets_no_gap(bus, plain):
    """Experiment 7, the twin: the server restarts without its data, and the lost events are not reported."""
    bus.publish("t", "seen")
    publish_unheard(bus, "t", "lost with the data")
    bus.redis.flushall()
    bus.publish("t", "new")
    assert plain.rest() == ["seen", "new"]


def test_N6_the_twin_of_the_restarted_server_loses_acknowledged_events(own_server, connect_to):
    """Experiment 10, the twin: events that were published before its reconnect are lost."""
    bus = connect_to(own_server)
    with plain_subscriber(redis.Redis.from_url(own_server.url)) as plain:
        bus.publish("t", 1)
        assert plain.rest() == [1]
        own_server.kill()
        own_server.restart()
        bus.redis.connection_pool.disconnect()
        for number in (2, 3):
            bus.publish("t", number)
        plain.rest()
        bus.publish("t", 4)
        assert plain.rest() == [4]
