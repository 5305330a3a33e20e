"""The serializer of calls and results: JSON only."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify import ContentsError
from workers.jobs.call import JsonSerializer

pytestmark = pytest.mark.any_server


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(VALUES)
def test_a_dumped_value_is_loaded_unchanged(value: Any) -> None:
    assert JsonSerializer.loads(JsonSerializer.dumps(value)) == value


def test_a_dumped_value_is_plain_json() -> None:
    assert JsonSerializer.dumps(["f", None, [1], {"é": True}]) == '["f",null,[1],{"é":true}]'.encode()


@pytest.mark.parametrize("value", [b"bytes", {1: "a"}, {"a", "b"}, datetime.now(UTC), float("nan"), object(), msgspec.Struct])
def test_a_value_that_json_cannot_hold_is_refused_and_not_changed(value: object) -> None:
    with pytest.raises(ContentsError):
        JsonSerializer.dumps([value])


def test_a_pickle_is_not_loaded() -> None:
    with pytest.raises(msgspec.DecodeError):
        JsonSerializer.loads(b"\x80\x04\x8c\x02os\x8c\x06getcwd\x93)R.")
