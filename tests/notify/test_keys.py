"""The data model: the table in the docstring, the key builders and the keys in a real server agree."""

import inspect
import re
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import notify
from notify import keys as keys_module
from notify.events.scripts import EventScripts
from notify.keys import Keys, due_member, parse_due_member

NO_KEYS = {"job_log_topic", "namespace", "database", "channel", "direct_channel", "topic_of", "status_topic", "job_topic"}


class Row(NamedTuple):
    key: str
    type: str
    content: str
    lives: str


def _table(rule: str) -> list[list[str]]:
    """Return the rows between the second and the third line equal to ``rule``, split into columns."""
    lines = keys_module.__doc__.splitlines()
    rules = [number for number, line in enumerate(lines) if line == rule]
    columns = [match.span() for match in re.finditer("=+", rule)]
    return [[line[start:end].strip() for start, end in columns] for line in lines[rules[1] + 1 : rules[2]]]


def _rules() -> list[str]:
    return list(dict.fromkeys(line for line in keys_module.__doc__.splitlines() if re.fullmatch("[= ]*==[= ]*", line)))


ROWS = [Row(*row) for row in _table(_rules()[0])]


def _built_by(name: str) -> str:
    """Return the key in the namespace ``ns`` when each argument is the name of its parameter."""
    built = getattr(Keys("ns"), name)
    return built if isinstance(built, str) else built(*(f"<{parameter}>" for parameter in inspect.signature(built).parameters))


def test_the_table_lists_exactly_the_keys_that_are_built():
    builders = {name for name in dir(Keys) if not name.startswith("_")} - NO_KEYS
    assert sorted(row.key for row in ROWS) == sorted(map(_built_by, builders))


def test_no_cell_of_the_tables_is_wider_than_its_column():
    lines = keys_module.__doc__.splitlines()
    for rule in _rules():
        ends = [match.end() for match in re.finditer("=+", rule)]
        first, last = lines.index(rule), len(lines) - lines[::-1].index(rule)
        assert not [line for line in lines[first:last] for end in ends if line[end : end + 1].strip() or len(line) > len(rule)]


def test_the_table_of_channels_lists_the_channels_that_are_built():
    assert sorted(channel for channel, _ in _table(_rules()[1])) == sorted(map(_built_by, ("channel", "direct_channel")))


@given(st.text(min_size=1), st.sampled_from(["notify", "{lab}", "a:event:b"]))
def test_the_topic_of_a_channel_is_the_one_it_was_built_for(topic, namespace):
    keys = Keys(namespace)
    assert keys.topic_of(keys.channel(topic)) == topic


@given(st.text(), st.integers(0, 2**53))
def test_a_due_member_is_parsed_to_its_name_and_incarnation(name, incarnation):
    assert parse_due_member(due_member(name, incarnation)) == (name, incarnation)


@pytest.fixture
def _busy(bus):
    """Use every feature once."""
    with bus.manager() as manager, bus.service("storage", provides={"store"}) as service, bus.subscribe("*"):
        manager.register_publisher("t")(1, retain_s=60)
        service.state["field"] = 1
        service.report("ready")
        with bus.service("gone", provides={"store", "retrieve"}) as gone:
            gone.kill("to leave a tombstone")
        yield
    bus.state("storage").clear()


def _row_of(key: str) -> Row | None:
    for row in ROWS:
        pattern = re.escape(row.key).replace("ns:", "notify:", 1)
        if re.fullmatch(re.sub(r"<\w+>", ".+", pattern), key):
            return row
    return None


@pytest.mark.usefixtures("_busy")
def test_every_key_that_a_busy_run_leaves_is_in_the_table_with_its_type(bus):
    found = {key.decode(): bus.redis.type(key).decode() for key in bus.redis.scan_iter()}
    assert len(found) > 15
    for key, kind in found.items():
        row = _row_of(key)
        assert row is not None, f"{key} is not in the table"
        assert kind == row.type, f"{key} is a {kind}, the table says {row.type}"


@pytest.mark.usefixtures("_busy")
@pytest.mark.parametrize(
    ("key", "seconds"),
    [
        ("topics", 30 * 86_400),
        ("topic:t", 30 * 86_400),
        ("log:t", 86_400),
        ("retained:t", 60),
        ("service:storage", 3_605),
        ("incarnation", 30 * 86_400),
        ("losses", 30 * 86_400),
        ("tombstone:gone", 86_400),
        ("services", -1),
        ("due", -1),
        ("provides:store", -1),
        ("state:storage", -1),
    ],
)
def test_every_key_lives_as_long_as_the_table_says(bus, key, seconds):
    lifetime = bus.redis.ttl(f"notify:{key}")
    assert lifetime == -1 if seconds == -1 else seconds - 30 <= lifetime <= seconds


def test_nothing_is_left_of_the_directory_after_the_last_service(bus):
    with bus.service("one", provides={"work"}), bus.service("two", provides={"work"}):
        pass
    left = {key.decode().removeprefix("notify:") for key in bus.redis.scan_iter()}
    assert not {key for key in left if key.startswith(("services", "due", "service:", "provides:"))}


def test_two_namespaces_on_one_server_are_separate(server, bus, collect):
    with notify.connect(settings=notify.Settings(url=server.url, namespace="other")) as other:
        with bus.subscribe("*") as events, bus.service("storage"):
            other.publish("t", 1)
            bus.publish("t", 2)
            (event, *_) = collect(events, 2)
            assert "storage" not in other.directory
        assert event.topic == "services"
        assert {key.decode().partition(":")[0] for key in bus.redis.scan_iter()} == {"notify", "other"}
        assert EventScripts(other.redis).topics() == ["t"]
