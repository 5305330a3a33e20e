"""The Lua scripts: each is documented, is loaded when the server lacks it, and gets all its keys through KEYS."""

import itertools
import re
import sys

import pytest

from notify import NotifyError, ServerRefusedError
from notify.events.scripts import EventScripts, Item
from notify.server.scripts import load_script
from tests.support.faults import commands_during


def test_the_parts_of_a_script_stand_before_it():
    source, digest = load_script("notify.directory", "beat")
    positions = [source.index(text) for text in ("local function emit", "local function now_ms", "-- Records the heartbeats")]
    assert positions == sorted(positions)
    assert len(digest) == 40
    assert load_script("notify.directory", "beat") is load_script("notify.directory", "beat")


@pytest.fixture
def lua(tmp_path, monkeypatch):
    """Writes a Lua file of a package ``parts_here``, by its path in the folder ``lua``."""
    (tmp_path / "parts_here" / "lua" / "parts").mkdir(parents=True)
    (tmp_path / "parts_here" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    load_script.cache_clear()
    yield lambda path, text: (tmp_path / "parts_here" / "lua" / f"{path}.lua").write_text(text)
    load_script.cache_clear()
    sys.modules.pop("parts_here", None)


def test_a_part_stands_once_and_after_the_parts_that_it_includes(lua):
    lua("parts/low", "-- low\n")
    lua("parts/left", "-- include: parts_here.low\n-- left\n")
    lua("parts/right", "-- include: parts_here.low\n-- right\n")
    lua("run", "-- include: parts_here.left\n-- include: parts_here.right\n-- run\n")
    text = load_script("parts_here", "run", "-- prelude\n")[0]
    assert re.findall(r"-- (\w+)", text) == ["prelude", "low", "left", "right", "run"]


def test_parts_that_include_each_other_are_refused_with_the_whole_circle(lua):
    lua("parts/one", "-- include: parts_here.two\n")
    lua("parts/two", "-- include: parts_here.one\n")
    lua("run", "-- include: parts_here.one\n")
    with pytest.raises(NotifyError, match=re.escape("parts_here.run -> parts_here.one -> parts_here.two -> parts_here.one")):
        load_script("parts_here", "run")


@pytest.mark.parametrize("part", ["parts_here.run", "parts_here.nowhere", "nowhere.at_all", "plain"])
def test_an_unknown_part_is_refused_with_the_file_that_it_should_be(lua, part):
    """A script, such as ``run``, is no part."""
    lua("run", f"-- include: {part}\n")
    with pytest.raises(NotifyError, match=rf"parts_here\.run includes the Lua part '{part}'.*lua/parts/"):
        load_script("parts_here", "run")


def test_a_script_that_the_server_lost_is_loaded_again(bus):
    bus.publish("t", 1)
    bus.redis.script_flush()
    bus.publish("t", 2)
    assert bus.redis.xlen(bus.keys.log("t")) == 2


def test_a_script_is_loaded_again_after_a_restart(own_server, connect_to):
    bus = connect_to(own_server)
    bus.publish("t", 1)
    own_server.restart()
    bus.publish("t", 2)
    assert bus.redis.xlen(bus.keys.log("t")) == 2


def test_the_error_of_a_refused_script_says_what_it_was_doing(bus):
    with pytest.raises(ServerRefusedError, match="refused a command while trying it out: "):
        EventScripts(bus.redis).run("read_log", [], [], action="trying it out")


def test_the_id_of_an_event_is_its_place_in_the_log(bus):
    event_id = bus.publish("t", "é")
    page = EventScripts(bus.redis).read_log("t", after="0-0", count=10)
    ((entry_id, prev, epoch, data),) = page.entries
    assert event_id == f"{entry_id}@{epoch}"
    assert (page.last, page.epoch, prev) == (entry_id, epoch, "0-0")
    assert '"contents":"é"'.encode() in data


def test_a_missing_log_has_no_head(bus):
    page = EventScripts(bus.redis).read_log("t", after="0-0", count=10)
    assert (page.epoch, page.last, page.entries) == (None, None, [])


@pytest.mark.parametrize("retain_ms", [None, 0, -1, 60_000])
def test_publishing_one_event_leaves_the_same_as_publishing_a_batch(bus, retain_ms):
    """``publish.lua`` is written out for speed; ``publish_many.lua`` uses ``parts/append.lua``. Both must leave the same."""
    scripts = EventScripts(bus.redis)
    body = b'{"topic":"t","time":"2026-11-21T07:00:00Z","contents":1}'

    def left(publish, topic: str) -> list[object]:
        keys = [scripts.keys.log(topic), scripts.keys.topic(topic), scripts.keys.retained(topic)]
        with bus.redis.pubsub() as pubsub:
            pubsub.subscribe(scripts.keys.channel(topic))
            pubsub.get_message(timeout=5)
            for _ in range(3):
                publish(topic)
            told = [pubsub.get_message(timeout=5)["data"] for _ in range(3)]
        bus.redis.delete(keys[0])  # a deleted log is created again, with a lifetime
        publish(topic)
        entries = bus.redis.xrange(keys[0])
        head = bus.redis.hgetall(keys[1])
        places = {bus.redis.hget(keys[1], "epoch"): b"epoch", head[b"last"]: b"last", entries[0][0]: b"id"}
        return [
            [re.sub(rb"\d{13}-\d+|@\w+", b"-", message) for message in told],
            [sorted(fields) for _, fields in entries],
            sorted(places.values()),
            sorted(head),
            [round(bus.redis.ttl(key) / 10) for key in keys],
            bus.redis.exists(keys[2]),
            topic in bus.topics(),
        ]

    one = left(lambda topic: scripts.publish(topic, body, retain_ms=retain_ms), "one")
    numbers = itertools.count(1)
    many = left(lambda topic: scripts._publish_batch("p", next(numbers), [Item(topic, body, retain_ms)]), "two")
    assert one == many
    bus.redis.delete(scripts.keys.retained("one"), scripts.keys.retained("two"))


def test_a_batch_of_one_event_is_published_once_by_either_script(bus):
    scripts = EventScripts(bus.redis)
    item = Item("t", b'{"topic":"t","contents":1}', None)
    assert scripts.publish_many("p", 1, [item]) == scripts.publish_many("p", 1, [item]) == []
    assert scripts.publish_many("p", 2, [item, item]) == scripts.publish_many("p", 2, [item]) == []
    assert scripts.publish_many("p", 3, [item]) == scripts.publish_many("p", 3, [item, item]) == []
    assert bus.redis.xlen(scripts.keys.log("t")) == 4
    bus.redis.set(scripts.keys.log("spoilt"), "no stream", px=60_000)
    ((index, problem),) = scripts.publish_many("p", 4, [item._replace(topic="spoilt")])
    assert (index, "WRONGTYPE" in problem) == (0, True)


@pytest.mark.parametrize("retain_ms", [None, 0, -1, 60_000])
def test_publishing_one_event_calls_the_same_commands_as_the_part_append(bus, retain_ms):
    """On the same input, in each state that a topic can be in. A batch closes the head of a topic last, so the order may differ."""
    scripts, body, numbers = EventScripts(bus.redis), b'{"topic":"t","contents":1}', itertools.count(1)
    publish = {
        "one": lambda: scripts.publish("one", body, retain_ms=retain_ms),
        "two": lambda: scripts._publish_batch("p", next(numbers), [Item("two", body, retain_ms)]),
    }
    states = {
        "unknown": lambda topic: bus.redis.delete(scripts.keys.log(topic), scripts.keys.topic(topic)),
        "known": lambda _: None,
        # The id of its last event is an old one: within the same millisecond the new log could not begin with an id of the clock.
        "without a log": lambda topic: (
            bus.redis.delete(scripts.keys.log(topic)),
            bus.redis.hset(scripts.keys.topic(topic), "last", "1-0"),
        ),
        "not touched for long": lambda topic: bus.redis.hset(scripts.keys.topic(topic), "touched", 1),
    }

    def commands(topic: str) -> list[str]:
        called = commands_during(bus.redis, publish[topic], in_scripts=True)
        ours = [command for command in called if scripts.keys.sent("p") not in command]
        return sorted(re.sub(r"\b\d{13}(-\d+)?|\b[0-9a-f]{13}\b", "-", command.replace(topic, "t")) for command in ours)

    for publishing in publish.values():
        publishing()  # loads the script
    for state, begin in states.items():
        for topic in publish:
            begin(topic)
        assert commands("one") == commands("two"), state
    bus.redis.delete(scripts.keys.retained("one"), scripts.keys.retained("two"))
