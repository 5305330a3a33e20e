"""The log of a topic has a limit in bytes as well as in events."""

import pytest

from notify.testing import wait_until

LIMIT = 256 * 1024


def _size(bus) -> int:
    return int(bus.redis.memory_usage(bus.keys.log("t"), samples=0))


@pytest.mark.parametrize("in_background", [False, True], ids=["one by one", "in the background"])
def test_large_events_keep_a_log_near_its_limit(server, connect_to, bus, in_background):
    """Measured for one event in 64, so the log may be above its limit by so many events."""
    ours = connect_to(server, log_bytes=LIMIT)
    body = "x" * 4_000
    if in_background:
        with ours.background_publisher() as publisher:
            for _ in range(1_500):
                publisher.put("t", body)
    else:
        for _ in range(1_500):
            ours.publish("t", body)

    def has_shrunk() -> bool:
        ours.publish("t", body)
        return _size(bus) <= LIMIT

    wait_until(has_shrunk, what="a measured event")
    assert bus.redis.xlen(bus.keys.log("t")) > 20
    with ours.subscribe("t", since="start") as events:
        assert events.get(5).reason == "trimmed"
        assert events.get(5).contents == body


def test_small_events_are_not_measured_and_a_short_log_stays(server, connect_to, bus):
    ours = connect_to(server, log_bytes=LIMIT, log_length=50)
    for number in range(200):
        ours.publish("t", number)
    assert bus.redis.xlen(bus.keys.log("t")) >= 50


def test_a_reader_that_is_behind_gets_one_gap_for_what_was_cut_off(server, connect_to, bus):
    ours = connect_to(server, log_bytes=LIMIT)
    first = ours.publish("t", "first")

    def is_cut() -> bool:
        ours.publish("t", "x" * 8_000)
        entries = bus.redis.xrange(bus.keys.log("t"), count=1)
        return not first.startswith(entries[0][0].decode())

    wait_until(is_cut, what="the end of the first event")
    with ours.subscribe("t", since=first) as events:
        assert events.get(5).reason == "trimmed"
