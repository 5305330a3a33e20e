"""Background publishing: the order of events, the limits of the queue, and outages of the server."""

import threading
import time

import pytest

import notify
from notify import ClosedError, ContentsError, Failure, InvalidTopicError, PublisherFullError, ServerUnreachableError, SettingsError
from notify.events import background
from notify.testing import fake_bus, wait_until
from tests.support.faults import commands_during


def _logged(bus: notify.Bus, topic: str = "t") -> list[object]:
    """Return the contents of all events in the log of a topic."""
    with bus.subscribe(topic, since="start") as events:
        return [event.contents for event in iter(lambda: events.get(0.1), None)]


def test_S10_put_never_waits_for_the_server_and_the_order_is_kept(own_server, connect_to):
    bus = connect_to(own_server)
    with bus.background_publisher() as publisher:
        publisher.put("t", -1)
        wait_until(lambda: publisher.counters.sent == 1)
        own_server.freeze()
        before = time.monotonic()
        for number in range(1000):
            publisher.put("t", number)
        assert time.monotonic() - before < 0.5
        own_server.thaw()
    assert _logged(bus) == list(range(-1, 1000))


def test_S10_events_put_before_the_start_are_sent_first(bus):
    publisher = bus.background_publisher()
    for number in range(3):
        publisher.put("t", number)
    assert _logged(bus) == []
    publisher.start()
    with publisher:
        publisher.put("t", 3)
    assert _logged(bus) == [0, 1, 2, 3]


def test_S14_events_are_sent_by_close_even_without_a_start(bus):
    publisher = bus.background_publisher()
    publisher.put("t", 1)
    publisher.close()
    assert _logged(bus) == [1]


def test_S10_the_events_of_each_of_four_threads_stay_in_order(bus):
    def put_many(who: int) -> None:
        for number in range(250):
            publisher.put("t", [who, number])

    with bus.background_publisher() as publisher:
        threads = [threading.Thread(target=put_many, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    logged = _logged(bus)
    assert len(logged) == 1000
    assert all([number for who, number in logged if who == one] == list(range(250)) for one in range(4))


def test_S3_there_is_a_publisher_to_start_separately_or_to_use_as_a_context_manager(bus, collect):
    with bus.subscribe("t") as events:
        started = bus.background_publisher()
        started.start()
        started.put("t", 1)
        started.close()
        with bus.background_publisher() as publisher:
            publisher.put("t", 2)
        assert [event.contents for event in collect(events, 2)] == [1, 2]


@pytest.mark.parametrize("topics", ["a", ["a"], ["a", "b"], ("a", "b", "c")])
def test_S1_one_topic_or_several_are_accepted(bus, topics):
    with bus.background_publisher() as publisher:
        publisher.put(topics, {"n": [1, None]})
    assert bus.topics() == list(topics)
    assert all(_logged(bus, topic) == [{"n": [1, None]}] for topic in topics)


def test_S10_the_counters_show_accepted_and_sent_events(bus):
    publisher = bus.background_publisher()
    for _ in range(5):
        publisher.put(["a", "b"], 1)
    assert (publisher.counters.accepted, publisher.counters.sent) == (10, 0)
    publisher.close()
    assert (publisher.counters.accepted, publisher.counters.sent) == (10, 10)
    assert (publisher.counters.dropped, publisher.counters.refused) == (0, 0)


def test_the_source_of_the_events_is_the_name_of_the_bus(bus, collect):
    with bus.subscribe("t") as events, bus.background_publisher() as publisher:
        publisher.put("t", ValueError("bad"))
        (event,) = collect(events, 1)
    assert (event.source, event.contents) == ("test", Failure("ValueError", "bad"))


def test_a_full_publisher_that_raises_accepts_nothing(bus):
    publisher = bus.background_publisher(max_items=2)
    publisher.put("t", 1)
    for topics in (["t", "u"], ["t", "u", "v"]):
        with pytest.raises(PublisherFullError, match=r"1 events wait to be sent to unix://.*, the limit is 2"):
            publisher.put(topics, 2)
    publisher.put("t", 2)
    publisher.close()
    assert (_logged(bus, "t"), _logged(bus, "u")) == ([1, 2], [])


def test_a_full_publisher_that_drops_the_oldest_events_counts_them(bus):
    publisher = bus.background_publisher(max_items=3, when_full="drop_oldest")
    for number in range(5):
        publisher.put("t", number)
    assert publisher.counters.dropped == 2
    publisher.close()
    assert _logged(bus) == [2, 3, 4]


def test_a_full_publisher_that_blocks_waits_until_there_is_room(bus):
    publisher = bus.background_publisher(max_items=1, when_full="block")
    publisher.put("t", 1)
    putting = threading.Thread(target=publisher.put, args=("t", 2))
    putting.start()
    putting.join(0.1)
    assert putting.is_alive()
    with publisher:
        putting.join(5)
    assert _logged(bus) == [1, 2]


def test_a_put_that_waits_for_room_raises_when_the_publisher_is_closed(own_server, connect_to):
    bus = connect_to(own_server)
    own_server.kill()
    publisher = bus.background_publisher(max_items=1, when_full="block")
    publisher.put("t", 1)
    raised = []

    def put() -> None:
        try:
            publisher.put("t", 2)
        except ClosedError as exc:
            raised.append(exc)

    putting = threading.Thread(target=put)
    putting.start()
    with pytest.raises(ServerUnreachableError, match="1 accepted events could not be sent"):
        publisher.close(timeout_s=0.1)
    putting.join(5)
    assert len(raised) == 1


@pytest.mark.parametrize("wrong", [{"max_items": 0}, {"when_full": "panic"}])
def test_invalid_limits_are_refused(bus, wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        bus.background_publisher(**wrong)


def test_S14_a_clean_close_sends_all_and_nothing_is_accepted_afterwards(bus):
    publisher = bus.background_publisher()
    publisher.start()
    for number in range(1000):
        publisher.put("t", number)
    publisher.close()
    publisher.close()
    with pytest.raises(ClosedError, match="make another one"):
        publisher.put("t", "late")
    assert _logged(bus) == list(range(1000))


def test_an_outage_loses_no_event_and_publishes_none_twice(own_server, connect_to, caplog):
    bus = connect_to(own_server)
    with bus.background_publisher() as publisher:
        for number in range(300):
            publisher.put("t", number)
            if number == 100:
                own_server.kill()
        wait_until(lambda: "the background publisher waits for the server" in caplog.text)
        own_server.restart()
    assert _logged(bus) == list(range(300))
    assert caplog.text.count("the background publisher waits for the server") == 1


def test_a_batch_whose_answer_was_lost_is_not_published_twice(bus, proxy):
    with notify.connect(proxy.url) as shaky, shaky.background_publisher() as publisher:
        proxy.lose_answers(3)
        for number in range(50):
            publisher.put("t", number)
        wait_until(lambda: publisher.counters.sent == 50)
    assert proxy.lost == 3
    assert _logged(bus) == list(range(50))


def test_the_twin_publishing_again_when_the_answer_was_lost_publishes_twice(bus, proxy):
    with notify.connect(proxy.url) as shaky:
        proxy.lose_answers(3)
        for number in range(50):
            _publish_stubbornly(shaky, number)
    logged = _logged(bus)
    assert len(logged) == 53
    assert sorted(set(logged)) == list(range(50))


def _publish_stubbornly(bus: notify.Bus, contents: int) -> None:
    while True:
        try:
            bus.publish("t", contents)
        except ServerUnreachableError:
            continue
        return


@pytest.mark.parametrize("had_events", [False, True])
def test_S15_one_event_that_is_refused_is_reported_and_the_next_are_sent(bus, caplog, had_events):
    if had_events:
        bus.publish("bad", 1)
    bus.redis.set(bus.keys.log("bad"), "no log", ex=60)
    publisher = bus.background_publisher()
    for number in range(3):
        publisher.put(["bad", "good"], number)
    publisher.close()
    assert _logged(bus, "good") == [0, 1, 2]
    assert (publisher.counters.sent, publisher.counters.refused) == (3, 3)
    assert caplog.text.count("the server refused an event on 'bad', which is lost: ") == 3
    assert "WRONGTYPE" in caplog.text


def test_S15_only_the_events_without_permission_are_refused(own_server, connect_to, caplog):
    """The other events of the batch are sent."""
    bus = connect_to(own_server)
    publisher = bus.background_publisher()
    for number in range(100):
        publisher.put("secret" if number in (0, 42, 99) else "t", number)
    allowed = [f"~{key}" for key in ("notify:sent:*", "notify:topics", "notify:*:t")]
    bus.redis.execute_command("ACL", "SETUSER", "default", "resetkeys", *allowed)
    publisher.close()
    assert (publisher.counters.sent, publisher.counters.refused) == (97, 3)
    assert caplog.text.count("the server refused an event on 'secret', which is lost: ") == 3
    assert "permissions" in caplog.text
    bus.redis.execute_command("ACL", "SETUSER", "default", "~*")
    assert _logged(bus) == [number for number in range(100) if number not in (0, 42, 99)]


def test_a_server_without_memory_is_waited_for_and_logged_once(own_server, connect_to, caplog):
    bus = connect_to(own_server)
    bus.redis.config_set("maxmemory", 1)
    with bus.background_publisher() as publisher:
        for number in range(300):
            publisher.put("t", number)
        wait_until(lambda: "events are queued" in caplog.text)
        bus.redis.config_set("maxmemory", 0)
    assert (publisher.counters.sent, publisher.counters.refused) == (300, 0)
    assert _logged(bus) == list(range(300))
    (record,) = [record for record in caplog.records if "waits for the server" in record.getMessage()]
    assert (record.levelname, "maxmemory" in record.getMessage()) == ("ERROR", True)


@pytest.mark.parametrize("contents", [0, False, {}, [], "", None])
def test_S11_false_and_empty_values_can_be_put(bus, contents):
    with bus.background_publisher() as publisher:
        publisher.put("t", contents)
    assert repr(_logged(bus)) == repr([contents])


@pytest.mark.parametrize(
    ("topics", "contents", "error"),
    [
        ([], 1, notify.SubscriptionError),
        ("", 1, InvalidTopicError),
        (["t", ""], 1, InvalidTopicError),
        ("a*", 1, InvalidTopicError),
        ("t", {"a": object()}, ContentsError),
        ("t", "x" * 70_000, notify.PayloadTooLargeError),
    ],
)
def test_S11_an_invalid_event_is_refused_by_put(bus, topics, contents, error):
    with bus.background_publisher() as publisher:
        with pytest.raises(error):
            publisher.put(topics, contents)
        with pytest.raises(ContentsError, match="no contents were given for 't'"):
            publisher.put("t")  # no message at all
        with pytest.raises(SettingsError, match="retain_s"):
            publisher.put("t", 1, retain_s=-2)
        assert publisher.counters.accepted == 0
    assert bus.topics() == []


@pytest.mark.parametrize("topics", [None, 5, b"t", {"t": 1}, ["t", None]])
def test_S11_a_put_without_a_topic_or_with_a_wrong_type_is_a_topic_type_error(bus, topics):
    """Also without contents: the topic is checked first."""
    with bus.background_publisher() as publisher:
        for arguments in ([topics], [topics, 1]):
            with pytest.raises(notify.TopicTypeError, match="a topic must be text, not "):
                publisher.put(*arguments)
        assert publisher.counters.accepted == 0
    assert bus.topics() == []


def test_changing_a_value_after_put_does_not_change_the_event(bus):
    contents = {"n": [1]}
    publisher = bus.background_publisher()
    publisher.put("t", contents)
    contents["n"].append(2)
    publisher.close()
    assert _logged(bus) == [{"n": [1]}]


def test_N10_an_event_can_be_retained(bus, collect):
    with bus.background_publisher() as publisher:
        publisher.put("t", 1, retain_s=60)
        publisher.put("t", 2)
    with bus.subscribe("t") as late:
        assert [event.contents for event in collect(late, 1)] == [1]


@pytest.mark.parametrize("how", ["freeze", "kill"])
def test_a_close_that_cannot_send_keeps_to_its_timeout_and_counts_the_lost(own_server, connect_to, how):
    bus = connect_to(own_server)
    publisher = bus.background_publisher()
    publisher.start()
    publisher.put("t", "connects")
    wait_until(lambda: publisher.counters.sent == 1)
    getattr(own_server, how)()
    for number in range(300):
        publisher.put("t", number)
    before = time.monotonic()
    with pytest.raises(ServerUnreachableError, match=r"300 accepted events could not be sent to unix://.* in 0.2 s"):
        publisher.close(timeout_s=0.2)
    assert time.monotonic() - before < 1.0
    publisher.close()


def test_M3_a_background_publisher_works_on_a_fake_server_too():
    with fake_bus() as bus:
        with bus.background_publisher() as publisher:
            for number in range(300):
                publisher.put(["t", "u"], number)
        assert _logged(bus, "t") == _logged(bus, "u") == list(range(300))


def test_M9_start_and_close_return_whether_they_had_an_effect(bus):
    """A closed publisher refuses events, and a start opens it again."""
    publisher = bus.background_publisher()
    for number in range(3):
        assert [publisher.start(), publisher.start()] == [True, False]
        publisher.put("t", number)
        assert [publisher.close(), publisher.close()] == [True, False]
        with pytest.raises(ClosedError, match="start it again"):
            publisher.put("t", "too late")
    assert _logged(bus) == [0, 1, 2]
    assert publisher.counters.sent == 3


def test_M9_a_publisher_that_lost_events_at_its_close_can_be_started_again(own_server, connect_to):
    bus = connect_to(own_server)
    publisher = bus.background_publisher()
    publisher.put("t", "early")
    own_server.kill()
    with pytest.raises(ServerUnreachableError, match="1 accepted events could not be sent"):
        publisher.close(timeout_s=0.2)
    own_server.restart()
    assert publisher.start()
    publisher.put("t", "late")
    assert publisher.close()
    assert _logged(bus) == ["late"]


def test_large_events_go_in_batches_that_do_not_hold_the_server_for_long(bus):
    size = 60_000
    with bus.background_publisher() as publisher:
        publisher.put("t", "the script is loaded")
    events = bus.background_publisher()
    for _ in range(20):
        events.put("t", "x" * size)
    commands = commands_during(bus.redis, events.close)
    batches = [command for command in commands if command.startswith("EVALSHA")]
    assert len(batches) == -(-20 * size // (5 * size))
    assert max(map(len, batches)) < 2 * background.BATCH_BYTES
    assert bus.redis.xlen(bus.keys.log("t")) == 21
