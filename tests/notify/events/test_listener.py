"""A listener with a receiving process: which events arrive, which faults it survives, and that no process is left behind."""

import errno
import os
import re
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

import notify
from notify import Gap, ServerUnreachableError, SubscriptionError
from notify.testing import wait_until
from tests.support.processes import command_of, is_running, receivers

pytestmark = pytest.mark.any_server


class Calls(list):
    """A callback that records its arguments, and waits while it is held."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, item: notify.Event | notify.Gap) -> None:
        self.begun += 1
        self.go_on.wait(20)
        self.append(item)

    @property
    def contents(self) -> list[object]:
        return [item.contents for item in self]

    def wait_for(self, count: int) -> None:
        wait_until(lambda: len(self) >= count, timeout_s=15, what=f"call number {count}")


@pytest.fixture
def calls():
    return Calls()


@pytest.fixture(autouse=True)
def _no_receiver_left():
    yield
    assert receivers(os.getpid()) == []


def test_M6_200_events_back_to_back_with_a_slow_callback_all_arrive_in_order(bus):
    received: list[object] = []
    slowness = threading.Event()

    def slow(event: notify.Event) -> None:
        slowness.wait(0.002)
        received.append(event.contents)

    with bus.listen("t", callback=slow):
        for number in range(200):
            bus.publish("t", number)
        wait_until(lambda: len(received) == 200)
    assert received == list(range(200))


def test_M6_the_receiving_process_shows_no_password(server, calls):
    with (
        notify.connect(server.url.replace("unix://", "unix://default:hush@")) as bus,
        bus.listen("t", callback=calls),
    ):
        (pid,) = receivers(os.getpid())
        assert re.search(r"notify\.events t|notify: listener of t", command_of(pid))
        assert "hush" not in command_of(pid)
        assert [client["name"] for client in bus.redis.client_list(_type="pubsub")] == [f"notify:{bus.name}|notify:event:t"]


@pytest.mark.parametrize("topic", ["t", "?", "*"])
def test_M6_the_first_event_right_after_open_is_not_lost(bus, calls, topic):
    with bus.listen(topic, callback=calls):
        bus.publish("t", 1)
        calls.wait_for(1)
    assert calls.contents == [1]


def test_M2_a_listener_receives_several_topics_and_patterns(bus, calls):
    """The callback gets the topic and the contents of each event."""
    with bus.listen("a", "lab.*", callback=calls):
        for topic in ("a", "b", "lab.door"):
            bus.publish(topic, {"on": topic})
        calls.wait_for(2)
    assert [(event.topic, event.contents) for event in calls] == [("a", {"on": "a"}), ("lab.door", {"on": "lab.door"})]


def test_an_event_arrives_as_a_subscriber_would_get_it(bus, calls, collect):
    with bus.listen("t", callback=calls), bus.subscribe("t") as events:
        bus.publish("t", ValueError("bad"))
        bus.redis.publish(bus.keys.channel("t"), "by hand")
        direct = collect(events, 2)
        calls.wait_for(2)
    received = [(event.topic, event.contents, event.source, event.id) for event in calls]
    assert received == [(event.topic, event.contents, event.source, event.id) for event in direct]
    assert calls[0].time == direct[0].time


def test_M6_an_exception_of_the_callback_is_logged_and_the_listener_continues(bus, caplog):
    received = []

    def broken(event: notify.Event) -> None:
        received.append(event.contents)
        raise RuntimeError("out of order")

    with bus.listen("t", callback=broken):
        for number in range(3):
            bus.publish("t", number)
        wait_until(lambda: len(received) == 3)
    assert caplog.text.count("RuntimeError: out of order") == 3


@pytest.mark.parametrize("log_length", [10_000, 100], ids=["the log holds all", "the log is short"])
def test_M6_a_full_queue_delays_reception_and_loses_nothing_without_a_gap(own_server, connect_to, calls, log_length):
    """The number of waiting events is bounded. All events arrive in order, or a gap takes the place of the lost ones."""
    bus = connect_to(own_server, log_length=log_length)
    bus.redis.config_set("client-output-buffer-limit", "pubsub 200kb 0 0")
    calls.go_on.clear()
    with bus.listen("t", callback=calls, max_items=10) as listener:
        for number in range(3000):
            bus.publish("t", [number, "x" * 1000])
        wait_until(lambda: listener.waiting == 10)
        assert calls == []
        calls.go_on.set()
        wait_until(lambda: calls and not isinstance(calls[-1], Gap) and calls[-1].contents[0] == 2999, timeout_s=20)
    numbers = [-1 if isinstance(item, Gap) else item.contents[0] for item in calls]
    if log_length == 10_000:
        assert numbers == list(range(3000))
        return
    holes = [n for n, (one, other) in enumerate(pairwise(numbers)) if other != one + 1 and -1 not in (one, other)]
    assert holes == []
    assert numbers.count(-1) >= 1
    assert [number for number in numbers if number >= 0] == sorted({number for number in numbers if number >= 0})


def test_a_listener_that_drops_the_oldest_events_counts_them(bus, calls):
    calls.go_on.clear()
    with bus.listen("t", callback=calls, max_items=3, when_full="drop_oldest") as listener:
        bus.publish("t", "in hand")
        wait_until(lambda: calls.begun == 1)
        for number in range(10):
            bus.publish("t", number)
        wait_until(lambda: listener.dropped == 7)
        calls.go_on.set()
        calls.wait_for(4)
    assert calls.contents == ["in hand", 7, 8, 9]


def test_M7_an_event_is_stamped_when_it_is_received_and_the_stamp_has_a_time_zone(bus, calls):
    calls.go_on.clear()
    before = datetime.now(UTC)
    with bus.listen("t", callback=calls) as listener:
        bus.publish("t", 1)
        wait_until(lambda: calls.begun == 1)
        bus.publish("t", 2)
        wait_until(lambda: listener.waiting == 1)
        released = datetime.now(UTC)
        calls.go_on.set()
        calls.wait_for(2)
    for event in calls:
        assert event.received.utcoffset() == timedelta(0)
        assert before <= event.time <= event.received <= released


def test_M9_open_and_close_return_whether_they_had_an_effect(bus, calls):
    listener = bus.listen("t", callback=calls)
    assert not listener.is_open
    assert (listener.open(), listener.open(), listener.is_open) == (True, False, True)
    bus.publish("t", "open")
    calls.wait_for(1)
    assert (listener.close(), listener.close(), listener.is_open) == (True, False, False)
    bus.publish("t", "while it is closed")
    assert listener.open()
    bus.publish("t", "open again")
    calls.wait_for(2)
    assert listener.close()
    assert calls.contents == ["open", "open again"]


def test_M9_events_that_waited_at_the_close_are_not_delivered_after_a_reopen(bus, calls):
    calls.go_on.clear()
    listener = bus.listen("t", callback=calls, max_items=1)
    listener.open()
    for number in range(5):
        bus.publish("t", number)
    wait_until(lambda: listener.waiting == 1)
    closing = threading.Thread(target=listener.close)
    closing.start()
    wait_until(lambda: not listener.is_open)
    calls.go_on.set()
    closing.join()
    already = list(calls.contents)
    with listener:
        bus.publish("t", "new")
        calls.wait_for(len(already) + 1)
    assert calls.contents == [*already, "new"]


def test_a_listener_can_be_closed_by_its_own_callback(bus):
    closed = []
    listener = bus.listen("t", callback=lambda _: closed.append(listener.close()))
    listener.open()
    bus.publish("t", 1)
    bus.publish("t", 2)
    wait_until(lambda: closed == [True])
    assert not listener.is_open


@pytest.mark.parametrize("then", ["stays open", "is closed again"])
def test_a_callback_can_reopen_its_listener_and_is_never_called_twice_at_once(bus, then):
    begun, ended = [], []

    def reopen(event: notify.Event) -> None:
        assert len(begun) == len(ended)
        begun.append(event.contents)
        if event.contents == 0:
            assert (listener.close(), listener.open()) == (True, True)
            for number in range(1, 20):
                bus.publish("t", number)
            wait_until(lambda: listener.waiting)
            if then == "is closed again":
                assert listener.close()
        ended.append(event.contents)

    with bus.listen("t", callback=reopen) as listener:
        bus.publish("t", 0)
        wait_until(lambda: len(ended) == (20 if then == "stays open" else 1), timeout_s=15)
        assert listener.is_open is (then == "stays open")
        wait_until(lambda: _callers() == (then == "stays open"), what="the end of the first thread")
    assert begun == ended == list(range(20 if then == "stays open" else 1))


def _callers() -> int:
    return sum(thread.name == "notify-call-back" for thread in threading.enumerate())


@pytest.mark.parametrize("topic", ["t", "t*"])
@pytest.mark.parametrize("had_events", [True, False])
def test_a_receiver_that_is_killed_is_started_again_and_nothing_is_lost(bus, calls, caplog, topic, had_events):
    with bus.listen(topic, callback=calls):
        if had_events:
            bus.publish("t", -1)
            calls.wait_for(1)
        (pid,) = receivers(os.getpid())
        os.kill(pid, signal.SIGKILL)
        for number in range(100):
            bus.publish("t", number)
        calls.wait_for(100 + had_events)
        assert receivers(os.getpid()) != [pid]
    assert calls.contents == list(range(-had_events, 100))
    assert caplog.text.count("died and is started again") == 1


def test_a_receiver_is_started_again_once_the_system_has_room_for_a_process(bus, calls, caplog, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    with bus.listen("t", callback=calls):
        (pid,) = receivers(os.getpid())
        with monkeypatch.context() as patch:
            patch.setattr("notify.events.listener.subprocess.Popen", refuse)
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: "no process can be started, Resource temporarily unavailable" in caplog.text, what="the log")
            with pytest.raises(SubscriptionError, match="cannot listen to u: no process can be started"):
                bus.listen("u").open()
        bus.publish("t", 1)
        calls.wait_for(1)
    assert calls.contents == [1]


def test_a_receiver_killed_repeatedly_while_events_arrive_loses_none(bus, calls):
    stop = threading.Event()
    published = []

    def publish() -> None:
        while not stop.wait(0.002):
            bus.publish("t", len(published))
            published.append(len(published))

    publishing = threading.Thread(target=publish)
    with bus.listen("t", callback=calls):
        publishing.start()
        try:
            for _ in range(3):
                pid = wait_until(lambda: receivers(os.getpid()))[0]
                seen = len(calls)
                wait_until(lambda seen=seen: len(calls) > seen)
                os.kill(pid, signal.SIGKILL)
                wait_until(lambda pid=pid: pid not in receivers(os.getpid()))
        finally:
            stop.set()
            publishing.join()
        calls.wait_for(len(published))
    assert calls.contents == published


def test_a_listener_survives_an_outage_in_which_its_receiver_dies_too(own_server, connect_to, calls, caplog):
    bus = connect_to(own_server)
    with bus.listen("t", callback=calls):
        bus.publish("t", 1)
        calls.wait_for(1)
        own_server.kill()
        os.kill(receivers(os.getpid())[0], signal.SIGKILL)
        wait_until(lambda: "cannot listen to t: no answer from unix://" in caplog.text)
        own_server.restart()
        bus.publish("t", 2)
        calls.wait_for(2)
    assert calls.contents == [1, 2]


def test_closing_during_an_outage_leaves_no_process_behind(own_server, connect_to, calls, caplog):
    listener = connect_to(own_server).listen("t", callback=calls)
    listener.open()
    own_server.kill()
    os.kill(receivers(os.getpid())[0], signal.SIGKILL)
    wait_until(lambda: "cannot listen to t" in caplog.text)
    assert listener.close()


def test_the_receiver_ends_with_the_process_that_started_it(bus, server, start):
    process = start("listener", server.url)
    assert process.told() == "open"
    (pid,) = receivers(process.pid)
    process.kill()
    wait_until(lambda: not is_running(pid))
    wait_until(lambda: bus.redis.client_list(_type="pubsub") == [])


def test_M10_open_names_an_address_at_which_no_server_answers(own_server, connect_to, calls):
    listener = connect_to(own_server).listen("t", callback=calls)
    own_server.kill()
    before = time.monotonic()
    with pytest.raises(ServerUnreachableError, match=r"cannot listen to t: no answer from unix:///tmp/notify-.*redis.sock"):
        listener.open()
    assert time.monotonic() - before < 5
    assert not listener.is_open
    assert not listener.close()


@pytest.mark.parametrize(
    ("topics", "options", "error"),
    [
        (("t",), {"callback": "no callable"}, TypeError),
        (("t",), {"max_items": 0}, notify.SettingsError),
        (("t",), {"when_full": "raise"}, notify.SettingsError),
        ((), {}, notify.EmptySubscriptionError),
        (("t", ""), {}, notify.InvalidTopicError),
    ],
)
def test_M12_invalid_arguments_are_refused_before_a_process_is_started(bus, calls, topics, options, error):
    with pytest.raises(error):
        bus.listen(*topics, **{"callback": calls, **options})


def test_M13_a_payload_of_a_megabyte_arrives_whole_and_once(server, bus, calls):
    text = "é" * 500_000
    with notify.connect(settings=notify.Settings(url=server.url, max_payload_bytes=2_000_000)) as wide:
        with bus.listen("t", callback=calls):
            wide.publish("t", text)
            wide.publish("t", "end")
            calls.wait_for(2)
        assert calls.contents == [text, "end"]
