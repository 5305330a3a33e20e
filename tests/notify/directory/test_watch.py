"""Watching the directory: every change is yielded once and in order."""

import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest

import notify
from notify import Available, Suspect, Withdrawn
from notify.directory.reader import DirectoryReader
from notify.testing import wait_until
from tests.support.faults import beat, commands_during, cut, publish_unheard


def _register(bus: notify.Bus, name: str) -> notify.Service:
    return bus.service(name, ttl_s=3600).open()


def test_N4_a_watch_begins_with_the_services_already_registered(bus):
    with bus.service("b") as first, bus.service("a") as second, bus.directory.watch() as changes:
        assert [changes.get(0), changes.get(0)] == [Available("b", first.incarnation), Available("a", second.incarnation)]
        assert changes.get(0) is None


def test_N4_a_watch_yields_changes_in_order(bus):
    with bus.directory.watch() as changes:
        with bus.service("a") as a, bus.service("b") as b:
            b.kill("why")
        yielded = [changes.get(5) for _ in range(4)]
        assert changes.get(0.05) is None
    assert yielded == [
        Available("a", a.incarnation),
        Available("b", b.incarnation),
        Withdrawn("b", b.incarnation, "killed", "why"),
        Withdrawn("a", a.incarnation, "withdrawn"),
    ]


def test_N4_a_watch_of_names_yields_only_those_services(bus):
    with bus.service("a") as a, bus.service("b"), bus.directory.watch("a", "c") as changes, bus.service("c") as c, bus.service("d"):
        assert [changes.get(5), changes.get(5)] == [Available("a", a.incarnation), Available("c", c.incarnation)]
        assert changes.get(0.05) is None


@pytest.mark.parametrize("others", [0, 50])
def test_N4_a_watch_of_a_few_reads_only_their_descriptions(bus, others):
    with ExitStack() as stack:
        for number in range(others):
            stack.enter_context(bus.service(f"other-{number}", ttl_s=3600))
        b, a = (stack.enter_context(bus.service(name, ttl_s=3600)) for name in ("b", "a"))
        yielded: list[notify.Change | None] = []

        def look() -> None:
            with bus.directory.watch("a", "b", "c") as changes:
                yielded.extend(changes.get(0) for _ in range(3))

        commands = [command.split()[0] for command in commands_during(bus.redis, look)]
        assert yielded == [Available("b", b.incarnation), Available("a", a.incarnation), None]
        assert (commands.count("HGETALL"), commands.count("SMEMBERS")) == (3, 0)


def test_N4_a_watch_of_an_invalid_name_yields_nothing(bus):
    with bus.directory.watch("\ud800") as changes, bus.service("s"):
        assert changes.get(0.05) is None


def test_N7_a_service_that_returns_is_yielded_as_a_new_incarnation(bus):
    with bus.directory.watch("s") as changes:
        with bus.service("s") as first:
            pass
        with bus.service("s") as second:
            yielded = [changes.get(5) for _ in range(3)]
    assert yielded == [
        Available("s", first.incarnation),
        Withdrawn("s", first.incarnation, "withdrawn"),
        Available("s", second.incarnation),
    ]


def test_a_service_that_registers_as_the_watch_begins_is_yielded_once(bus, monkeypatch):
    """The race: the service registers after the subscription and before the first look."""
    started = []
    ask = DirectoryReader.search

    def ask_late(reader: DirectoryReader, *args: object, **how: object) -> object:
        if not started:
            started.append(_register(bus, "s"))
        return ask(reader, *args, **how)

    monkeypatch.setattr(DirectoryReader, "search", ask_late)
    with bus.directory.watch() as changes:
        assert changes.get(5) == Available("s", started[0].incarnation)
        assert changes.get(0.05) is None
        started[0].close()
        assert isinstance(changes.get(5), Withdrawn)


def test_a_watch_whose_first_look_fails_leaves_no_connection(bus, monkeypatch):
    def refuse(*_: object, **__: object) -> object:
        raise notify.ServerUnreachableError("no answer")

    monkeypatch.setattr(DirectoryReader, "search", refuse)
    with pytest.raises(notify.ServerUnreachableError) as kept:
        bus.directory.watch()
    assert kept
    wait_until(lambda: not bus.redis.client_list(_type="pubsub"), what="the end of the connection")


def test_get_returns_none_after_its_timeout_or_at_once_with_zero(bus):
    with bus.directory.watch() as changes:
        assert changes.get(0) is None
        assert changes.get(0.05) is None


def test_a_timeout_holds_while_other_services_come_and_go(bus, another_bus):
    stop = threading.Event()

    def keep_busy() -> None:
        while not stop.wait(0.02):
            _register(another_bus, "other").close()

    busy = threading.Thread(target=keep_busy)
    with bus.directory.watch("s") as changes:
        busy.start()
        answers = []
        asking = threading.Thread(target=lambda: answers.append(changes.get(0.3)))
        asking.start()
        asking.join(2)
        ended = not asking.is_alive()
        stop.set()
        busy.join()
        asking.join()
    assert ended
    assert answers == [None]


@pytest.mark.parametrize("way", ["in the loop", "from another thread"])
def test_iterating_ends_when_the_watch_is_closed(bus, way):
    with bus.service("a"), bus.service("b"):
        changes, yielded = bus.directory.watch(), []
        closing: list[threading.Thread] = []
        for change in changes:
            yielded.append(change.name)
            if way == "in the loop":
                changes.close()
            elif len(yielded) == 2:
                closing.append(threading.Thread(target=changes.close))
                closing[0].start()
        for thread in closing:
            thread.join()
        assert yielded == ["a", "b"]


@pytest.mark.usefixtures("_impatient")
def test_N6_changes_during_a_lost_connection_are_yielded_later(bus, another_bus):
    with another_bus.directory.watch() as changes:
        cut(bus.redis, "watch")
        with bus.service("s") as service:
            pass
        assert changes.get(5) == Available("s", service.incarnation)
        assert changes.get(5) == Withdrawn("s", service.incarnation, "withdrawn")


@pytest.mark.usefixtures("_impatient")
def test_a_watch_that_lost_the_events_of_a_kill_tells_it_all_the_same(bus):
    with bus.service("s") as service, bus.directory.watch() as changes:
        assert changes.get(5) == Available("s", service.incarnation)
        assert cut(bus.redis, "watch") == 1
        bus.directory.kill("s", why="enough")
        bus.redis.delete(bus.keys.log("services"), bus.keys.topic("services"))
        assert changes.get(5) == Withdrawn("s", service.incarnation, "killed", "enough")
        assert changes.get(0.05) is None


@pytest.mark.usefixtures("_impatient")
def test_a_watch_compares_again_when_the_log_is_lost(bus):
    """After all data are lost, each service that went is withdrawn and each that is registered again is available."""
    stays, goes = _register(bus, "stays"), _register(bus, "goes")
    with bus.directory.watch() as changes:
        assert [changes.get(5).name for _ in range(2)] == ["stays", "goes"]
        bus.redis.flushall()
        beat(stays)
        yielded = {changes.get(5) for _ in range(3)}
        assert changes.get(0.3) is None
    goes.kill()
    stays.close()
    withdrawn = {change for change in yielded if isinstance(change, Withdrawn)}
    assert {(change.name, change.reason) for change in withdrawn} == {("stays", "expired"), ("goes", "expired")}
    assert yielded - withdrawn == {Available("stays", stays.incarnation)}


@pytest.mark.usefixtures("_impatient")
def test_a_comparison_that_failed_is_repeated(bus, monkeypatch):
    """The server answered the subscription again, and was away again before the comparison."""
    service = _register(bus, "s")
    ask: Callable[..., object] = DirectoryReader.search

    def refuse_once(*_: object, **__: object) -> object:
        monkeypatch.setattr(DirectoryReader, "search", ask)
        raise notify.ServerUnreachableError("no answer")

    with bus.directory.watch() as changes:
        assert changes.get(5) == Available("s", service.incarnation)
        bus.redis.flushall()
        monkeypatch.setattr(DirectoryReader, "search", refuse_once)
        with pytest.raises(notify.ServerUnreachableError):
            wait_until(lambda: changes.get(1))
        assert changes.get(5) == Withdrawn("s", service.incarnation, "expired", "the announcement of its withdrawal was lost")
    service.close()


ODD = ["text", 5, None, {}, {"change": "withdrawn"}, {"change": "withdrawn", "service": "s", "incarnation": "x"}, {"change": 1}]


def test_events_published_by_hand_do_not_mislead_a_watch(bus):
    with bus.service("s") as service, bus.directory.watch() as changes:
        assert changes.get(5) == Available("s", service.incarnation)
        for contents in ODD:
            bus.publish("services", contents)
        for incarnation in (service.incarnation - 1, service.incarnation + 1):
            bus.publish("services", {"change": "withdrawn", "service": "s", "incarnation": incarnation})
        bus.publish("services", {"change": "suspect", "service": "s", "incarnation": service.incarnation})
        bus.publish("services", {"change": "suspect", "service": "s", "incarnation": service.incarnation + 1})
        assert changes.get(5) == Suspect("s", service.incarnation)
        assert changes.get(0.05) is None


@pytest.mark.usefixtures("_impatient")
def test_a_change_whose_message_was_lost_is_yielded_after_a_silence(bus):
    with bus.directory.watch() as changes:
        publish_unheard(bus, "services", {"change": "available", "service": "s", "incarnation": 7})
        assert changes.get(5) == Available("s", 7)
