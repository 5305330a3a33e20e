"""The twins of test_recovery: what plain redis-py makes of the same faults. It loses events, and nobody is told.

Should one of these fail, the protection that it is the twin of may not be needed any more.
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
    """Experiment 2."""
    received = []
    publishing = threading.Thread(target=lambda: publish_and_cut(bus, "plain", events=EVENTS, cuts=CUTS))
    publishing.start()
    while publishing.is_alive():
        received += plain.rest(quiet_s=0.1)
    publishing.join()
    assert 0 < len(received) < EVENTS


def test_N6_the_twin_of_the_last_event_that_was_lost_never_gets_it(bus, plain):
    """Experiment 3, the twin: the cut is mended without a word, and what was published meanwhile is gone."""
    bus.publish("t", "heard")
    assert plain.rest() == ["heard"]
    cut(bus.redis, "plain")
    bus.publish("t", "last")
    assert plain.rest() == []
    assert bus.redis.pubsub_numsub("notify:event:t")[0][1] == 1


def test_N6_the_twin_of_the_frozen_server_notices_nothing(own_server, connect_to):
    """Experiment 4, the twin: redis-py's health check asks, and never minds that there is no answer."""
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
    """Experiment 5, the twin."""
    bus = connect_to(own_server)
    bus.redis.config_set("client-output-buffer-limit", "pubsub 200kb 0 0")
    with plain_subscriber(redis.Redis.from_url(own_server.url)) as plain:
        for number in range(3000):
            bus.publish("t", [number, "x" * 1000])
        before = plain.rest()
        bus.publish("t", [3000, ""])
        assert [number for number, _ in plain.rest()] == [3000]
    assert len(before) < 3000


def test_N6_the_twin_of_one_who_was_away_for_longer_than_the_log_reaches_is_told_nothing(bus, plain):
    """Experiment 6, the twin."""
    bus.publish("t", "seen")
    assert plain.rest() == ["seen"]
    cut(bus.redis, "plain")
    for number in range(10):
        publish_unheard(bus, "t", number)
    trim(bus, "t", keep=1)
    assert plain.rest() == []
    bus.publish("t", "live")
    assert plain.rest() == ["live"]


def test_N6_the_twin_of_a_server_that_lost_its_data_is_told_nothing(bus, plain):
    """Experiment 7, the twin: the numbers begin anew and what was lost with the data is no concern of anybody's."""
    bus.publish("t", "seen")
    publish_unheard(bus, "t", "lost with the data")
    bus.redis.flushall()
    bus.publish("t", "new")
    assert plain.rest() == ["seen", "new"]


def test_N6_the_twin_of_a_server_that_was_restarted_loses_what_was_acknowledged(own_server, connect_to):
    """Experiment 10, the twin: what was published before it was back."""
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
