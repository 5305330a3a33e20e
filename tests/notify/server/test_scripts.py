"""The Lua scripts: each is documented, is loaded when the server lacks it, and gets all its keys through KEYS."""

import itertools
import re
from pathlib import Path

import pytest

import notify
from notify import ServerRefusedError
from notify.events.scripts import EventScripts, Item
from notify.server.scripts import load_script

ROOT = Path(notify.__file__).parent
FILES = {path.relative_to(ROOT).as_posix().removesuffix(".lua"): path.read_text() for path in ROOT.rglob("*.lua")}
PARTS = {name for name in FILES if "/parts/" in name}
RUN = set(FILES) - PARTS


def _header(name: str) -> str:
    """The comment that a file opens with."""
    return re.match(r"(?:--.*\n)+", FILES[name])[0]


def test_there_are_scripts_and_parts_of_scripts():
    assert {"events/lua/publish", "directory/lua/register", "directory/lua/withdraw", "state/lua/swap"} <= RUN
    assert {name.rpartition("/")[2] for name in PARTS} == {"append", "change", "deadline", "fence", "now"}


@pytest.mark.parametrize("name", sorted(RUN))
def test_every_script_opens_with_its_keys_arguments_and_what_it_returns(name):
    for word in ("KEYS", "ARGV", "returns"):
        assert re.search(rf"^-- {word} ", _header(name), re.MULTILINE), f"{name}.lua does not document {word}"


@pytest.mark.parametrize("name", sorted(RUN))
def test_every_script_documents_each_key_and_argument_that_it_uses_by_its_number(name):
    keys, _, rest = _header(name).partition("-- ARGV")
    arguments = rest.partition("-- returns")[0]
    code = FILES[name].removeprefix(_header(name))
    for documented, used in ((keys, re.findall(r"KEYS\[(\d+)\]", code)), (arguments, re.findall(r"ARGV\[(\d+)\]", code))):
        for number in set(map(int, used)):
            spans = [range(int(first), int(last or first) + 1) for first, last in re.findall(r"(\d+)(?:-(\d+)|\.\.\.)? ", documented)]
            assert any(number in span for span in spans), f"{name}.lua uses {number}, which its header does not list"


@pytest.mark.parametrize("name", sorted(PARTS))
def test_every_part_says_that_it_is_included_and_documents_its_functions(name):
    documented = "".join(line for line in FILES[name].splitlines(keepends=True) if line.startswith("--"))
    for function in re.findall(r"^local function (\w+)\(", FILES[name], re.MULTILINE):
        assert f"{function}(" in documented, f"{name}.lua does not document {function}"


@pytest.mark.parametrize("name", sorted(RUN))
def test_no_script_builds_a_key_or_walks_over_all_keys(name):
    """Keys come in through KEYS, and no step is slower the more the server holds."""
    code = FILES[name].removeprefix(_header(name))
    first_arguments = re.findall(r"redis\.call\('[A-Z]+', ([^,)]+)", code)
    assert all(re.fullmatch(r"KEYS\[(\d+|i)\]|keys\.\w+|channel", argument) for argument in first_arguments)
    assert not re.search(r"'(KEYS|SCAN|FLUSH\w+)'", code)


def test_a_script_comes_with_what_it_includes_in_front_of_it():
    source, digest = load_script("notify.directory", "beat")
    positions = [source.index(text) for text in ("local function emit", "local function now_ms", "-- The heartbeats of")]
    assert positions == sorted(positions)
    assert len(digest) == 40
    assert load_script("notify.directory", "beat") is load_script("notify.directory", "beat")


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


def test_what_a_script_was_doing_is_told_when_the_server_refuses_it(bus):
    with pytest.raises(ServerRefusedError, match="refused a command while trying it out: "):
        EventScripts(bus.redis).run("read_log", [], [], action="trying it out")


def test_an_event_s_place_in_its_log_is_the_id_that_it_was_given(bus):
    event_id = bus.publish("t", "é")
    page = EventScripts(bus.redis).read_log("t", after="0-0", count=10)
    ((entry_id, prev, epoch, data),) = page.entries
    assert event_id == f"{entry_id}@{epoch}"
    assert (page.last, page.epoch, prev) == (entry_id, epoch, "0-0")
    assert '"contents":"é"'.encode() in data


def test_a_log_that_is_not_there_has_no_end(bus):
    page = EventScripts(bus.redis).read_log("t", after="0-0", count=10)
    assert (page.epoch, page.last, page.entries) == (None, None, [])


@pytest.mark.parametrize("retain_ms", [None, 0, -1, 60_000])
def test_one_event_is_published_as_each_of_many_is(bus, retain_ms):
    """The script for one is written out, for speed; what it leaves must be what that for many leaves."""
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
    many = left(lambda topic: scripts.publish_many("p", next(numbers), [Item(topic, body, retain_ms)]), "two")
    assert one == many
    bus.redis.delete(scripts.keys.retained("one"), scripts.keys.retained("two"))
