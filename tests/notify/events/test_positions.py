"""Positions: what is delivered for a live event, or after a comparison with the log, at a given position."""

from collections.abc import Callable

import pytest

import notify
from notify import Event, Gap
from notify.events.positions import PAGE, Positions
from notify.events.scripts import EventScripts
from tests.support.faults import publish_unheard, trim

Items = list[Event | Gap]


@pytest.fixture
def positions(bus: notify.Bus) -> Positions:
    bus.publish("t", "before")
    positions = Positions(EventScripts(bus.redis))
    positions.start(["t"])
    return positions


@pytest.fixture
def live(bus: notify.Bus) -> Callable[[str], bytes]:
    """Publish, and return the message as a subscriber receives it."""

    def publish(contents: str) -> bytes:
        with bus.redis.pubsub() as pubsub:
            pubsub.subscribe(bus.keys.channel("t"))
            pubsub.get_message(timeout=5)
            bus.publish("t", contents)
            return pubsub.get_message(timeout=5)["data"]

    return publish


def _delivered(items: Items) -> list[object]:
    return [item.contents if isinstance(item, Event) else item.reason for item in items]


def test_the_next_event_is_delivered_without_reading_the_log(bus, positions, live):
    message = live("next")
    bus.redis.delete(bus.keys.log("t"), bus.keys.topic("t"))
    assert _delivered(positions.deliver("t", message)) == ["next"]


def test_an_event_that_was_delivered_is_not_delivered_again(positions, live):
    first, second = live("first"), live("second")
    assert _delivered(positions.deliver("t", first)) == ["first"]
    assert _delivered(positions.deliver("t", second)) == ["second"]
    assert _delivered(positions.deliver("t", first)) == []
    assert _delivered(positions.deliver("t", second)) == []


def test_an_event_out_of_order_repairs_the_missing_ones_in_order(bus, positions, live):
    publish_unheard(bus, "t", "lost")
    assert _delivered(positions.deliver("t", live("heard"))) == ["lost", "heard"]


def test_a_repaired_event_has_the_same_id_as_a_live_one(bus, positions):
    event_id = bus.publish("t", 1)
    (event,) = positions.repair("t")
    assert (event.id, event.topic, event.source) == (event_id, "t", "test")


def test_a_repair_where_nothing_is_missing_yields_nothing(positions):
    assert _delivered(positions.repair("t")) == []
    assert _delivered(positions.repair("never heard of")) == []


def test_more_than_a_page_is_repaired_completely(bus, positions):
    for number in range(PAGE * 2 + 10):
        bus.publish("t", number)
    assert _delivered(positions.repair("t")) == list(range(PAGE * 2 + 10))


def test_trimmed_events_become_one_gap_with_the_ids_around_them(bus, positions):
    positions_before = bus.publish("t", "seen")
    assert _delivered(positions.repair("t")) == ["seen"]
    missing = [bus.publish("t", "missing") for _ in range(5)]
    bus.publish("t", "kept")
    trim(bus, "t", keep=1)
    gap, event = positions.repair("t")
    assert gap == Gap("t", "trimmed", positions_before, missing[-1])
    assert event.contents == "kept"


def test_a_log_that_was_trimmed_to_nothing_is_one_gap_to_its_end(bus, positions, live):
    last = [bus.publish("t", "missing") for _ in range(5)][-1]
    trim(bus, "t", keep=0)
    (gap,) = positions.repair("t")
    assert (gap.reason, gap.last) == ("trimmed", last)
    assert _delivered(positions.repair("t")) == []
    assert _delivered(positions.deliver("t", live("next"))) == ["next"]


def test_deleted_entries_in_the_middle_of_the_log_are_a_gap_at_their_place(bus, positions):
    ids = [bus.publish("t", number) for number in range(5)]
    bus.redis.xdel(bus.keys.log("t"), *[event_id.partition("@")[0] for event_id in ids[1:3]])
    items = list(positions.repair("t"))
    assert _delivered(items) == [0, "trimmed", 3, 4]
    assert items[1] == Gap("t", "trimmed", ids[0], ids[2])


def test_a_log_that_began_anew_is_one_gap_and_then_its_events(bus, positions):
    bus.redis.flushall()
    bus.publish("t", "new")
    gap, event = positions.repair("t")
    assert (gap.reason, gap.last) == ("epoch", None)
    assert event.contents == "new"
    assert _delivered(positions.repair("t")) == []


def test_a_deleted_log_is_one_gap_however_often_it_is_read(bus, positions):
    bus.redis.flushall()
    assert _delivered(positions.repair("t")) == ["epoch"]
    assert _delivered(positions.repair("t")) == []


def test_a_new_epoch_over_a_long_old_log_is_read_quickly(bus, positions):
    """The head was deleted or evicted and the log was not: its entries are of an earlier epoch."""
    for number in range(PAGE + 10):
        bus.publish("t", number)
    bus.redis.delete(bus.keys.topic("t"))
    bus.publish("t", "new")
    assert _delivered(positions.repair("t")) == ["epoch", "new"]


def _fail_over(bus: notify.Bus, *, losing: list[str]) -> None:
    """As if a replica without the last events had been promoted."""
    bus.redis.xdel(bus.keys.log("t"), *[event_id.partition("@")[0] for event_id in losing])
    (last_kept,) = [entry_id for entry_id, _ in bus.redis.xrevrange(bus.keys.log("t"), count=1)]
    bus.redis.hset(bus.keys.topic("t"), "last", last_kept)


@pytest.mark.parametrize("noticed", ["by a look into the log", "by the next event"])
def test_a_failover_that_lost_what_was_delivered_is_a_rollback(bus, positions, live, noticed):
    ids = [bus.publish("t", number) for number in range(5)]
    assert _delivered(positions.repair("t")) == [0, 1, 2, 3, 4]
    _fail_over(bus, losing=ids[3:])
    items = list(positions.repair("t")) if noticed == "by a look into the log" else []
    items += positions.deliver("t", live("after"))
    assert items[0] == Gap("t", "rollback", ids[2], ids[4])
    assert _delivered(items[1:]) == ["after"]
    assert _delivered(positions.repair("t")) == []


def test_a_message_published_by_hand_moves_no_position(positions, live):
    assert _delivered(positions.deliver("t", b"21.5")) == [21.5]
    assert _delivered(positions.deliver("t", live("next"))) == ["next"]


ODD_STAMPS = [
    b'{"id":"x","prev":"y","topic":"t","time":"2026-01-01T00:00:00Z","contents":1}',
    b'{"id":"1-1-1@%s","prev":"y","topic":"t","time":"2026-01-01T00:00:00Z","contents":1}',
    b'{"id":"@%s","prev":"","topic":"t","time":"2026-01-01T00:00:00Z","contents":1}',
]


@pytest.mark.parametrize("message", ODD_STAMPS)
def test_a_forged_stamp_does_no_harm(bus, positions, live, message):
    epoch = bus.redis.hget(bus.keys.topic("t"), "epoch")
    list(positions.deliver("t", message.replace(b"%s", epoch)))
    assert _delivered(positions.deliver("t", live("next"))) == ["next"]
