"""Reading the ids of many jobs a page at a time."""

from collections.abc import Callable
from functools import partial

import pytest

import notify
from workers.overview.paging import chunked, read_backward, read_forward

KEY = "ids"
IDS = [str(number) for number in range(7)]


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_all_pages_are_read_in_order_from_either_end(bus: notify.Bus, size: int) -> None:
    bus.redis.rpush(KEY, *IDS)
    read = partial(bus.redis.lrange, KEY)
    assert list(read_forward(read, size=size)) == read_backward(read, size=size) == IDS
    bus.redis.delete(KEY)


@pytest.mark.parametrize("read_all", [lambda read: list(read_forward(read, size=3)), lambda read: read_backward(read, size=3)])
def test_a_key_that_does_not_exist_has_no_ids(bus: notify.Bus, read_all: Callable[..., list[str]]) -> None:
    assert read_all(partial(bus.redis.lrange, "nothing")) == []


def test_ids_taken_from_the_front_do_not_shift_what_is_read_backward(bus: notify.Bus) -> None:
    bus.redis.rpush(KEY, *IDS)

    def read(first: int, last: int) -> object:
        page = bus.redis.lrange(KEY, first, last)
        bus.redis.lpop(KEY)
        return page

    assert read_backward(read, size=3) == IDS[1:]
    bus.redis.delete(KEY)


def test_chunks_hold_all_ids_in_order() -> None:
    assert list(chunked(IDS, 3)) == [IDS[:3], IDS[3:6], IDS[6:]]
    assert list(chunked([], 3)) == []
