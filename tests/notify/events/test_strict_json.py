"""Strict JSON: a decoded value equals the encoded one, or an error names the path to the part that cannot be encoded."""

import enum
import json
import math
from collections import OrderedDict, namedtuple
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify import ContentsError
from notify.events.strict_json import encode_json

pytestmark = pytest.mark.any_server


text = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | text
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=20)


@given(values)
def test_a_decoded_value_equals_the_encoded_one_with_its_types(value):
    encoded = encode_json(value, what="it")
    assert repr(msgspec.json.decode(encoded)) == repr(value)
    assert json.loads(encoded) == value


def test_a_tuple_is_decoded_as_a_list():
    assert encode_json({"a": (1, (2,))}, what="it") == b'{"a":[1,[2]]}'


class Level(enum.IntEnum):
    LOW = 1


class Meters(float):
    pass


class Name(str):
    __slots__ = ()


class Count(int):
    pass


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Level.LOW, b"1"),
        (OrderedDict(b=1, a=2), b'{"b":1,"a":2}'),
        (namedtuple("Point", "x y")(1, 2), b"[1,2]"),
        (Count(3), b"3"),
        (Meters(1.5), b"1.5"),
        (Name("n"), b'"n"'),
        ({Name("k"): [Count(2**63)]}, b'{"k":[9223372036854775808]}'),
    ],
)
def test_subclasses_of_builtin_types_are_encoded_as_the_builtin_type(value, expected):
    assert encode_json(value, what="it") == expected


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (math.nan, "the top"),
        ([1.0, math.inf], r"\[1\]"),
        ({"a": {"b": [0, -math.inf]}}, r"a\.b\[1\]"),
        ({"a": b"bytes"}, "at a,"),
        ([bytearray(b"x")], r"\[0\]"),
        ({"tags": {"x"}}, "at tags,"),
        ({"tags": frozenset()}, "at tags,"),
        ({"when": datetime.now(UTC)}, "at when,"),
        ({"when": datetime.now(UTC).date()}, "at when,"),
        ({"price": [Decimal("1.5")]}, r"price\[0\]"),
        ([uuid4()], r"\[0\]"),
        ([object()], r"\[0\]"),
        ({"a": ValueError("x")}, "at a,"),
        ({"a": {1: "x"}}, "at a, the key 1"),
        ({None: 1}, "at the top, the key None"),
        ({"n": 2**64}, "at n,"),
        ([-(2**63) - 1], r"\[0\]"),
        ([Count(2**70)], r"\[0\]"),
        ((x for x in ()), "the top"),
    ],
)
def test_a_value_that_json_cannot_represent_is_refused_with_its_path(value, path):
    with pytest.raises(ContentsError, match=path) as caught:
        encode_json(value, what="the reading")
    assert str(caught.value).startswith("the reading cannot be written as JSON")


@pytest.mark.parametrize("value", ["\ud800", ["\udfff"], {"\ud800": 1}, {"a": {"b": "x\udc00"}}])
def test_a_lone_surrogate_is_refused(value):
    with pytest.raises(ContentsError, match="the reading cannot be written as JSON"):
        encode_json(value, what="the reading")


def test_a_value_that_contains_itself_is_refused():
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    endless: list[object] = []
    endless.append(endless)
    for value in (deep, endless):
        with pytest.raises(ContentsError, match="the reading cannot be written as JSON"):
            encode_json(value, what="the reading")


def test_nothing_in_the_package_uses_pickle():
    for file in files("notify").iterdir():
        if file.name.endswith(".py"):
            assert "pickle" not in file.read_text(), f"{file.name} mentions pickle"
