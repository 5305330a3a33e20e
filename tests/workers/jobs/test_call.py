"""The call of a job as JSON: the serializer, decoding of plain calls, and calls left to RQ's own code."""

from typing import Any

import msgspec
import pytest
import rq
from hypothesis import given
from hypothesis import strategies as st

import notify
from notify import ContentsError
from tests.support.sample_jobs import add
from workers import Queue
from workers.jobs.call import JsonSerializer, plain_call

FUNCTIONS = {"m.add": add}
PLAIN = {b"data": b'["m.add",null,["x"],{"y":1}]', b"timeout": b"10"}


def test_a_plain_call_is_read_without_the_rest() -> None:
    assert plain_call(PLAIN, FUNCTIONS) == (add, ["x"], {"y": 1}, 10)


def test_a_job_without_a_timeout_has_the_default_timeout() -> None:
    call = plain_call({b"data": PLAIN[b"data"]}, FUNCTIONS)
    assert call is not None
    assert call.timeout_s == 180


def test_most_jobs_are_plain(bus: notify.Bus, queue: Queue) -> None:
    with bus.service("svc"):
        job = queue.enqueue(add, "x", needs="svc", on_loss="drain", retry=rq.Retry(max=3), meta={"a": 1}, result_ttl=5, description="d")
    assert plain_call(bus.redis.hgetall(job.key), {str(job.func_name): add}) == (add, ["x"], {}, 180)


@pytest.mark.parametrize(
    "fields",
    [
        {b"success_callback_name": b"m.add"},
        {b"webhooks": b"[]"},
        {b"repeats_left": b"1"},
        {b"result_ttl": b"0"},
        {b"timeout": b"1h"},
        {b"timeout": b"x"},
        {b"retries_left": b"x"},
        {b"result_ttl": b"x"},
        {b"needs": b"{"},
        {b"needs": b'{"svc":"x"}'},
        {b"on_loss": b"x"},
        {b"on_loss": b"\xff"},
        {b"data": b""},
        {b"data": b"\x78\x9c"},
        {b"data": b'["m.other",null,[],{}]'},
        {b"data": b'["m.add","an object",[],{}]'},
        {b"data": b'["m.add",null,3,{}]'},
        {b"data": b'["m.add",null,[]]'},
        {b"data": b'{"a":1}'},
    ],
)
def test_a_special_or_odd_job_is_left_to_rq(fields: dict[bytes, bytes]) -> None:
    assert plain_call({**PLAIN, **fields}, FUNCTIONS) is None


def test_a_hash_without_data_is_no_call() -> None:
    assert plain_call({}, FUNCTIONS) is None


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


@pytest.mark.parametrize("value", [range(3), {None: "a"}, {1: "a", "1": "b"}, float("nan"), object(), msgspec.Struct])
def test_a_value_that_json_cannot_hold_is_refused_and_not_changed(value: object) -> None:
    with pytest.raises(ContentsError):
        JsonSerializer.dumps([value])


def test_a_pickle_is_not_loaded() -> None:
    with pytest.raises(msgspec.DecodeError):
        JsonSerializer.loads(b"\x80\x04\x8c\x02os\x8c\x06getcwd\x93)R.")
