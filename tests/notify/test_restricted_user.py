"""A user of the server who may not run INFO and CLIENT LIST: all works but what only these commands tell, and that is said."""

import logging

import pytest

import notify
from notify.testing import wait_until

PASSWORD = "hush"


@pytest.fixture
def url(own_server) -> str:
    """The URL of a user who may do all but what is dangerous."""
    with notify.connect(own_server.url) as bus:
        bus.redis.execute_command("ACL", "SETUSER", "lab", "on", f">{PASSWORD}", "~*", "&*", "+@all", "-@dangerous", "+client|setname")
        return own_server.url.replace("unix://", f"unix://lab:{PASSWORD}@")


def test_a_bus_connects_publishes_and_receives_without_info(url, collect):
    links: list[str] = []
    with notify.connect(url, on_link=lambda link: links.append(str(link))) as bus, bus.subscribe("t") as events:
        bus.publish("t", 1)
        assert [event.contents for event in collect(events, 1)] == [1]
        wait_until(lambda: len(links) == 1, what="the first probe")
    assert "ACTIVE" in links[0]
    assert " pid " not in links[0]
    assert any(kind in links[0] for kind in ("valkey ", "redis "))


def test_a_bus_connects_without_info_and_hello(own_server, url):
    with notify.connect(own_server.url) as bus:
        bus.redis.execute_command("ACL", "SETUSER", "lab", "-hello")
    with notify.connect(url) as bus:
        assert bus.topics() == []


def test_topics_are_listed_without_subscribers_by_pattern(url, caplog):
    with notify.connect(url) as bus, bus.subscribe("t"), bus.subscribe("t*"):
        bus.publish("t", 1)
        with caplog.at_level(logging.WARNING):
            (topic,) = bus.traffic()
    assert (topic.topic, topic.subscribers) == ("t", 1)
    assert "subscribers by pattern are not counted" in caplog.text


def test_a_demand_counts_without_names_and_says_so_once(url, caplog):
    with notify.connect(url) as bus, bus.demand("t") as demand, caplog.at_level(logging.WARNING):
        with bus.subscribe("t"):
            assert demand.wait(5)
            assert demand.listeners() == [""]
        wait_until(lambda: not demand.listeners(), what="the end of the subscription")
    assert caplog.text.count("CLIENT LIST is refused") == 1
