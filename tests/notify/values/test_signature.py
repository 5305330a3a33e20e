"""Signatures: arguments and results that were read from JSON come back as the annotations of a function say, or stay as they are."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, NewType, TypedDict, TypeVar
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify import ContentsError, Json
from notify.values import Signature, encode_json
from tests.notify.values.test_encoder import values

if TYPE_CHECKING:
    from only_for_type_checkers import Unknown

pytestmark = pytest.mark.any_server

T = TypeVar("T")
Celsius = NewType("Celsius", float)
NOON = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Ratio(enum.Enum):
    HALF = 0.5


class Pair(NamedTuple):
    at: datetime
    n: int


@dataclasses.dataclass
class Point:
    x: int
    seen: datetime | None = None


class Reading(msgspec.Struct):
    celsius: float
    at: date
    parts: list[Reading] = []


class Row(TypedDict, total=False):
    name: str


class Dated(TypedDict):
    on: date


class Even:
    """A class that msgspec does not know."""


@dataclasses.dataclass
class Positive:
    n: int

    def __post_init__(self) -> None:
        if self.n <= 0:
            raise LookupError("it is not positive")


def through_json(value: Any) -> Any:
    return msgspec.json.decode(encode_json(value, what="it"))


def annotated(annotation: Any) -> Signature:
    """The signature of a function with this annotation on its parameter and its result."""

    def function(value):
        return value

    function.__annotations__ = {"value": annotation, "return": annotation}
    return Signature(function)


COME_BACK: list[tuple[Any, Any]] = [
    (datetime, NOON),
    (datetime, NOON.replace(tzinfo=None)),
    (date, NOON.date()),
    (time, time(7, 5, 1, 2)),
    (timedelta, timedelta(days=-1, microseconds=5)),
    (UUID, UUID(int=3)),
    (Decimal, Decimal("1.50")),
    (bytes, b"\x00\xff"),
    (bytearray, bytearray(b"ab")),
    (Color, Color.RED),
    (Level, Level.LOW),
    (Point, Point(1, NOON)),
    (Reading, Reading(1.5, NOON.date(), [Reading(2.5, NOON.date())])),
    (Pair, Pair(NOON, 2)),
    (tuple, (1, [2])),
    (tuple[int, datetime], (1, NOON)),
    (set[UUID], {UUID(int=3)}),
    (frozenset[str], frozenset({"a"})),
    (list[datetime], [NOON, NOON]),
    (Sequence[date], [NOON.date()]),
    (dict[UUID, timedelta], {UUID(int=3): timedelta(1)}),
    (dict[int, list[Color]], {1: [Color.RED]}),
    (Mapping[date, int], {NOON.date(): 1}),
    (datetime | None, NOON),
    (datetime | None, None),
    (int | datetime, 3),
    (Dated, {"on": NOON.date()}),
    (Annotated[int, msgspec.Meta(gt=0)], 3),
    (Literal["a", 1], "a"),
    ("list[datetime]", [NOON]),
    ("Point | None", Point(1)),
]


@pytest.mark.parametrize(("annotation", "value"), COME_BACK)
def test_a_value_comes_back_as_the_annotation_says(annotation, value):
    signature = annotated(annotation)
    read = through_json(value)
    (positional,), _ = signature.arguments([read], {})
    _, named = signature.arguments([], {"value": read})
    for found in (positional, named["value"], signature.result(read)):
        assert (found, type(found)) == (value, type(value))


STAY: list[Any] = [
    inspect.Parameter.empty,
    Any,
    object,
    "object",
    "Unknown",
    "list[Unknown]",
    "1 +",
    "missing.name",
    T,
    Path,
    list[Path],
    socket.socket,
    Even,
    dict[str, Even],
    Ratio,
    Callable,
    Iterable[datetime],
    str | datetime,
    list[int] | set[int],
    Json,
    type,
    5,
]


@pytest.mark.parametrize("annotation", STAY)
def test_a_value_stays_as_it_is_where_the_annotation_says_nothing_that_can_be_made(annotation):
    signature = annotated(annotation)
    for value in (through_json(NOON), [1, {"a": None}], 3):
        assert signature.arguments([value], {}) == ([value], {})
        assert signature.arguments([], {"value": value}) == ([], {"value": value})
        assert signature.result(value) is value


PLAIN: list[tuple[Any, Any]] = [
    (float, 3),
    (float, 2**60 + 1),
    (float | None, 3),
    (Celsius, 3),
    (int, True),
    (list[float], [1, 2]),
    (list[str], [1]),
    (dict[str, float], {"a": 1}),
    (dict, {"a": 1}),
    (list[dict[str, Any]], [{"a": 1}]),
    (Row, {"name": "x", "more": 1}),
    (str | int | None, None),
]


@pytest.mark.parametrize(("annotation", "value"), PLAIN)
def test_a_type_of_json_changes_nothing(annotation, value):
    signature = annotated(annotation)
    (found,), _ = signature.arguments([value], {})
    assert found is value
    assert repr(signature.result(value)) == repr(value)


@given(values)
def test_a_value_of_json_is_never_changed_by_an_annotation_of_json(value):
    signature = annotated(type(value))
    (found,), _ = signature.arguments([value], {})
    assert found is value


MISFITS: list[tuple[Any, Any, str]] = [
    (int, "abc", 'is "abc", which does not fit its annotation int: give a value that fits'),
    (int, 1.5, "is 1.5, which does not fit its annotation int"),
    (str, 5, "is 5, which does not fit its annotation str"),
    (bool, 1, "annotation bool"),
    (list[int], "abc", r"annotation list\[int\]"),
    (dict[str, int] | None, [], r"annotation dict\[str, int\] | None"),
    (datetime, "soon", r"annotation datetime \(Invalid RFC3339 encoded datetime\)"),
    (datetime, None, "annotation datetime"),
    (bytes, "hello", r"annotation bytes \(Invalid base64"),
    (Color, "blue", r"annotation Color \(Invalid enum value 'blue'\)"),
    (Point, {"x": "1"}, r"Expected `int`, got `str` - at `\$\.x`"),
    (Positive, {"n": 0}, "annotation Positive .it is not positive"),
    (Annotated[int, msgspec.Meta(gt=0)], 0, "Expected `int` >= 1"),
    (list[datetime], ["x" * 100], r'is \["x{58}…, which'),
]


@pytest.mark.parametrize(("annotation", "value", "message"), MISFITS)
def test_an_argument_that_does_not_fit_is_refused_by_the_name_of_its_parameter(annotation, value, message):
    signature = annotated(annotation)
    for args, kwargs in ([value], {}), ([], {"value": value}):
        with pytest.raises(ContentsError, match=f"the argument 'value' of annotated.*function .*{message}"):
            signature.arguments(args, kwargs)
    assert signature.result(value) == value, "the call is over: a result is never hidden"


def test_one_annotation_that_cannot_be_resolved_does_not_hide_the_others():
    def function(a: Unknown, b: datetime, *, c: date, d: Unknown = None) -> Unknown:
        raise NotImplementedError

    args, kwargs = Signature(function).arguments(["x", "2026-11-27T12:00:00Z"], {"c": "2026-11-27", "d": 1})
    assert (args, kwargs) == (["x", NOON], {"c": NOON.date(), "d": 1})


def test_further_arguments_have_the_annotations_of_the_stars():
    def function(first: str, /, *more: datetime, name: str = "", **named: date) -> None:
        raise NotImplementedError

    day, noon = "2026-11-27", "2026-11-27T12:00:00Z"
    args, kwargs = Signature(function).arguments(["a", noon, noon], {"name": "n", "first": day, "b": day})
    assert (args, kwargs) == (["a", NOON, NOON], {"name": "n", "first": NOON.date(), "b": NOON.date()})


def test_none_is_taken_where_it_is_the_default():
    def function(at: datetime = None, n: int = None) -> None:  # noqa: RUF013  # old code is written so
        raise NotImplementedError

    assert Signature(function).arguments([None], {"n": None}) == ([None], {"n": None})


def test_arguments_of_a_wrong_number_are_left_to_the_call():
    def function(at: datetime) -> None:
        raise NotImplementedError

    assert Signature(function).arguments(["2026-11-27T12:00:00Z", "x"], {"other": 1}) == ([NOON, "x"], {"other": 1})


class Desk:
    def open(self, at: datetime) -> date:
        return at.date()

    @classmethod
    def made(cls, at: datetime) -> Desk:
        raise NotImplementedError

    @staticmethod
    def static(at: datetime) -> None:
        raise NotImplementedError


def _decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@pytest.mark.parametrize(
    "function", [Desk().open, Desk.made, Desk().static, partial(Desk.static), _decorated(Desk.static), _decorated(Desk().open)]
)
def test_methods_partial_calls_and_wrapped_functions_have_annotations(function):
    assert Signature(function).arguments(["2026-11-27T12:00:00Z"], {}) == ([NOON], {})


@pytest.mark.parametrize("function", [print, dict, max, "no function"])
def test_a_function_without_a_signature_has_no_annotations(function):
    assert Signature(function).arguments([1], {"a": 2}) == ([1], {"a": 2})
    assert Signature(function).result(3) == 3


moments = st.datetimes(timezones=st.sampled_from([None, UTC])).map(lambda at: at.replace(fold=0))  # ISO 8601 does not know the fold
typed = st.one_of(
    st.tuples(st.just(datetime), moments),
    st.tuples(st.just(date), st.dates()),
    st.tuples(st.just(time), st.times().map(lambda at: at.replace(fold=0))),
    st.tuples(st.just(timedelta), st.timedeltas()),
    st.tuples(st.just(UUID), st.uuids()),
    st.tuples(st.just(Decimal), st.decimals(allow_nan=False)),
    st.tuples(st.just(bytes), st.binary()),
    st.tuples(st.just(Color), st.just(Color.RED)),
    st.tuples(st.just(Point), st.builds(Point, st.integers(-(2**63), 2**63 - 1), st.none() | moments)),
)


def _nested(inner: st.SearchStrategy[tuple[Any, Any]]) -> st.SearchStrategy[tuple[Any, Any]]:
    return st.one_of(
        inner.map(lambda pair: (list[pair[0]], [pair[1], pair[1]])),
        inner.map(lambda pair: (tuple[pair[0], ...], (pair[1],))),
        inner.map(lambda pair: (dict[str, pair[0]], {"é": pair[1]})),
        inner.map(lambda pair: (pair[0] | None, pair[1])),
        st.tuples(inner, inner).map(lambda pairs: (tuple[pairs[0][0], pairs[1][0]], (pairs[0][1], pairs[1][1]))),
    )


@given(st.recursive(typed, _nested, max_leaves=5))
def test_a_nested_value_comes_back_equal_and_in_its_types(pair):
    annotation, value = pair
    (found,), _ = annotated(annotation).arguments([through_json(value)], {})
    assert (found, repr(found)) == (value, repr(value))


@given(st.dictionaries(st.uuids() | st.dates() | st.integers(-5, 5), moments))
def test_every_value_has_a_json_form_that_stays_the_same(value):
    once = through_json(value)
    assert through_json(once) == once
