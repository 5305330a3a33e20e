"""Decoding of calls: plain calls, and calls that are left to RQ's own code."""

import pytest
import rq

import notify
from tests.support.sample_jobs import add
from workers import Queue
from workers.jobs.call import plain_call

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
