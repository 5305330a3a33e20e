"""The encoder: each value has its form in JSON, or an error names the path to the part that JSON cannot hold."""

import dataclasses
import enum
import json
import math
import socket
from collections import OrderedDict, namedtuple
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify import ContentsError
from notify.values import encode_json, encoder, json_text

pytestmark = pytest.mark.any_server


text = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | text
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=20)


@given(values)
def test_a_decoded_value_equals_the_encoded_one_with_its_types(value):
    encoded = encode_json(value, what="it")
    assert repr(msgspec.json.decode(encoded)) == repr(value)
    assert json.loads(encoded) == value


class Level(enum.IntEnum):
    LOW = 1


class Color(enum.Enum):
    RED = "red"


class Ratio(enum.Enum):
    HALF = 0.5


class Meters(float):
    pass


class Name(str):
    __slots__ = ()


class Count(int):
    pass


class Stamp(datetime):
    pass


@dataclasses.dataclass
class Point:
    x: int
    seen: Any = None


class Reading(msgspec.Struct, rename="camel"):
    cel_sius: float
    more: list[Any] = []


NOON = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
ID = UUID(int=3)

FORMS: list[tuple[Any, Any]] = [
    (NOON, "2026-11-27T12:00:00Z"),
    (NOON.astimezone(timezone(timedelta(hours=-3.5))), "2026-11-27T08:30:00-03:30"),
    (NOON.replace(tzinfo=None), "2026-11-27T12:00:00"),
    (Stamp(2026, 11, 27), "2026-11-27T00:00:00"),
    (NOON.date(), "2026-11-27"),
    (time(7, 5), "07:05:00"),
    (timedelta(days=1, seconds=5), "P1DT5S"),
    (ID, "00000000-0000-0000-0000-000000000003"),
    (Decimal("1.50"), "1.50"),
    (b"ab", "YWI="),
    (bytearray(b"ab"), "YWI="),
    (Color.RED, "red"),
    (Ratio.HALF, 0.5),
    (Level.LOW, 1),
    ((1, (2,)), [1, [2]]),
    (namedtuple("Pair", "x y")(1, 2), [1, 2]),
    ({7}, [7]),
    (frozenset({7}), [7]),
    (Point(1, NOON), {"x": 1, "seen": "2026-11-27T12:00:00Z"}),
    (Reading(1.5, [Point(2)]), {"celSius": 1.5, "more": [{"x": 2, "seen": None}]}),
    (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    (Count(3), 3),
    (Meters(1.5), 1.5),
    (Name("n"), "n"),
    ({Name("k"): [Count(2**63)]}, {"k": [2**63]}),
    ({1: "a", Level.LOW: "b"}, {"1": "b"}),
    ({ID: 1, NOON.date(): 2, Color.RED: 3, b"ab": 4}, {str(ID): 1, "2026-11-27": 2, "red": 3, "YWI=": 4}),
]


@pytest.mark.parametrize(("value", "form"), FORMS)
def test_a_value_that_json_does_not_know_is_written_in_its_form(value, form):
    assert json.loads(encode_json({"it": [value]}, what="it")) == {"it": [form]}
    assert json_text(value) == json.dumps(form)


def test_the_table_of_forms_names_every_kind():
    table = encoder.__doc__ or ""
    kinds = "tuple set frozenset datetime date time timedelta UUID Decimal bytes enum dataclass Struct"
    for kind in kinds.split():
        assert kind in table


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (math.nan, "the top"),
        ([1.0, math.inf], r"\[1\]"),
        ({"a": {"b": [0, -math.inf]}}, r"a\.b\[1\]"),
        ({"items": [{}, {}, {}, {"when": socket.SocketType}]}, r"at items\[3\]\.when, the class socket"),
        ({"tags": {object()}}, r"at tags\[0\], a value of type object"),
        (Point(1, object()), "at seen,"),
        (Reading(1.0, [{"deep": math.nan}]), r"at more\[0\]\.deep,"),
        (Reading(math.nan), "at celSius,"),
        ([object()], r"\[0\]"),
        ({"a": ValueError("x")}, "at a,"),
        ({"a": {1.5: "x"}}, "at a, the key 1.5"),
        ({"a": {(1, 2): "x"}}, r"at a, the key \(1, 2\)"),
        ({True: 1}, "at the top, the key True"),
        ({None: 1}, "at the top, the key None"),
        ({"a": {1: 1, "1": 2}}, "at a, two keys would both be '1'"),
        ({2**64: 1}, "the key 18446744073709551616 has more than 64 bits"),
        ({"n": 2**64}, "at n,"),
        ([-(2**63) - 1], r"\[0\]"),
        ([Count(2**70)], r"\[0\]"),
        ((x for x in ()), "the top"),
        ({"p": Path("/tmp")}, "at p, a value of type PosixPath"),  # noqa: S108  # only a path
        ([msgspec.UNSET], r"\[0\]"),
        ([msgspec.Raw(b"{")], r"\[0\]"),
        ([memoryview(b"x")], r"\[0\]"),
        (datetime(1800, 1, 1, tzinfo=timezone(timedelta(seconds=3208))), "no whole number of minutes"),
        ([time(1, tzinfo=ZoneInfo("Europe/Berlin"))], "depends on the date"),
        ("\ud800", "at the top, '.ud800' contains half of a surrogate pair"),
        ({"a": {"b": ["", "x\udc00"]}}, r"at a\.b\[1\],"),
        ({"a": {"\ud800": 1}}, "at a,"),
        (Point(1, ["\udfff"]), r"at seen\[0\]"),
    ],
)
def test_a_value_that_json_cannot_hold_is_refused_with_its_path(value, path):
    with pytest.raises(ContentsError, match=path) as caught:
        encode_json(value, what="the reading")
    assert str(caught.value).startswith("the reading cannot be written as JSON: at ")
    assert ";" in str(caught.value), "the remedy"


def test_any_value_can_be_shown():
    for value in (object(), {"a": math.nan, (1, 2): object()}, {1: {2}}, "\ud800", Path("x")):
        assert json_text(value)


def test_a_value_that_contains_itself_is_refused():
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    endless: list[object] = []
    endless.append(endless)
    odd: set[object] = {object()}
    for value in (deep, endless, [odd, endless]):
        with pytest.raises(ContentsError, match="the reading cannot be written as JSON"):
            encode_json(value, what="the reading")


def test_nothing_in_the_package_uses_pickle():
    for file in files("notify").iterdir():
        if file.name.endswith(".py"):
            assert "pickle" not in file.read_text(), f"{file.name} mentions pickle"
