"""Two deployments in two databases of one server: Redis has no databases for channels, and the events do not cross all the same."""

from collections.abc import Iterator
from contextlib import closing

import pytest
import redis

import notify
from notify.testing import PrivateServer, wait_until

OTHER = 3


@pytest.fixture
def other(server: PrivateServer, bus: notify.Bus) -> Iterator[notify.Bus]:
    """A bus in another database, with the same namespace."""
    with notify.connect(server.url.replace("db=0", f"db={OTHER}"), name="other") as connected:
        yield connected


@pytest.mark.parametrize("topic", ["t", "t*", "*"])
def test_events_of_another_database_do_not_come_and_give_no_gaps(bus, other, collect, topic):
    with bus.subscribe(topic) as here, other.subscribe(topic) as there:
        for n in range(3):
            bus.publish("t", ["here", n])
            other.publish("t", ["there", n])
        assert [event.contents for event in collect(here, 3)] == [["here", n] for n in range(3)]
        assert [event.contents for event in collect(there, 3)] == [["there", n] for n in range(3)]
        assert here.get(0.1) is None
        assert there.get(0.1) is None


def test_a_plain_channel_carries_messages_from_one_database_to_another(server, bus):
    """Why channels carry the number of the database."""
    with redis.Redis.from_url(server.url.replace("db=0", f"db={OTHER}")) as client, closing(client.pubsub()) as listening:
        listening.subscribe(bus.keys.channel("t"))
        wait_until(lambda: (listening.get_message(timeout=0.1) or {}).get("type") == "subscribe", what="the confirmation")
        bus.publish("t", 1)
        wait_until(lambda: (listening.get_message(timeout=0.1) or {}).get("type") == "message", what="the message")


def test_the_directory_its_changes_and_direct_reports_stay_in_their_database(bus, other):
    with bus.directory.watch() as changes, bus.service("desk") as service, other.service("desk"), other.subscribe("t"):
        assert changes.get(5).name == "desk"
        assert changes.get(0.1) is None
        with pytest.raises(notify.NotSubscribedError):
            service.report("only for the other", to="other")


def test_a_demand_counts_the_subscribers_of_its_database_only(bus, other):
    with bus.demand("t") as demand, other.demand("t") as theirs, other.subscribe("t"):
        assert theirs.wait(5)
        assert demand.listeners() == []
