"""The look-up: several at once, in order, remembered for a while, with errors and marks in their places."""

import threading
import time
from typing import Any

import pytest

from notify import ContentsError, Gap, SettingsError, WiringError
from notify.flows import Failed, discard, lookup, pipeline, retry, stage
from notify.testing import wait_until

pytestmark = pytest.mark.any_server


def test_K8_look_ups_run_at_once_and_keep_the_order() -> None:
    running, most, lock = [0], [0], threading.Lock()

    def look(item: int) -> int:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.02 if item % 5 == 0 else 0.001)  # so that later ones are ready before earlier ones
        with lock:
            running[0] -= 1
        return item * 10

    got: list[int] = []
    pipeline(range(50), lookup(look, threads=8), got.append).run()
    assert got == [item * 10 for item in range(50)]
    assert 1 < most[0] <= 8


def test_a_result_is_handed_on_though_no_further_item_comes() -> None:
    done, got = threading.Event(), []

    def source() -> Any:
        yield 1
        done.wait(5)

    with pipeline(source, lookup(lambda item: item + 1), got.append):
        wait_until(lambda: got == [2], what="the result")
        done.set()


def test_a_result_is_used_again_for_a_while() -> None:
    asked: list[str] = []
    part = lookup(lambda item: asked.append(item) or item.upper(), cache_s=60)  # type: ignore[func-returns-value]  # on purpose
    got: list[str] = []
    pipeline(["a", "b", "a", "a", "b"], part, got.append).run()
    assert got == ["A", "B", "A", "A", "B"]
    assert sorted(asked) == ["a", "b"]


def test_a_result_is_looked_up_again_after_its_time() -> None:
    asked: list[str] = []

    def source() -> Any:
        yield "a"
        wait_until(lambda: asked, what="the first look-up")
        time.sleep(0.03)  # longer than cache_s
        yield "a"

    part = lookup(lambda item: asked.append(item) or item, cache_s=0.01)  # type: ignore[func-returns-value]  # on purpose
    pipeline(source, part, discard).run()
    assert asked == ["a", "a"]


def test_an_error_is_not_remembered_and_keeps_its_place() -> None:
    def look(item: int) -> int:
        if item % 3 == 0:
            raise KeyError(item)
        return item

    order: list[Any] = []
    part = stage(lookup(look, cache_s=60, threads=3), name="look")
    pipeline([1, 3, 2, 3], part, order.append, errors=order.append).run()
    assert [entry for entry in order if not isinstance(entry, Failed)] == [1, 2]
    assert [(entry.item, entry.stage) for entry in order if isinstance(entry, Failed)] == [(3, "look"), (3, "look")]


def test_a_look_up_is_tried_again_as_the_policy_says() -> None:
    calls: list[int] = []

    def look(item: int) -> int:
        calls.append(item)
        if calls.count(item) < 3:
            raise OSError
        return item

    got: list[int] = []
    pipeline([1, 2], stage(lookup(look), on_error=retry(2, 0.001)), got.append).run()
    assert got == [1, 2]
    assert sorted(calls) == [1, 1, 1, 2, 2, 2]


def test_a_gap_keeps_its_place_among_the_items() -> None:
    gap = Gap("t", "trimmed", None, None)
    got: list[Any] = []

    def slow(item: int) -> int:
        time.sleep(0.005)  # a gap that did not wait would come first
        return item

    pipeline([1, 2, gap, 3], lookup(slow), stage(got.append, gaps=True)).run()
    assert got == [1, 2, gap, 3]


def test_a_look_up_that_hangs_is_cut_with_its_items() -> None:
    hangs = threading.Event()
    flow = pipeline(range(100), lookup(lambda _: hangs.wait(10), threads=2), discard).start()
    wait_until(lambda: flow.counters()["Lookup"].taken >= 5, what="items in hand")
    assert flow.close(timeout_s=0.05) is False
    hangs.set()
    assert flow.counters()["Lookup"].dropped == 100


def test_a_look_up_that_hangs_at_the_end_is_cut_with_its_items() -> None:
    hangs = threading.Event()
    flow = pipeline(range(3), lookup(lambda _: hangs.wait(10), threads=2), discard).start()
    wait_until(lambda: flow.counters()["Lookup"].taken == 3, what="items in hand")
    assert flow.close(timeout_s=0.05) is False
    hangs.set()
    assert flow.counters()["Lookup"].dropped == 3


@pytest.mark.parametrize(
    ("options", "kind"), [({"threads": 0}, WiringError), ({"threads": 1.5}, WiringError), ({"cache_s": 0}, SettingsError)]
)
def test_a_look_up_that_cannot_work_is_refused(options: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        lookup(len, **options)


def test_an_item_that_is_no_key_needs_a_function_for_it() -> None:
    with pytest.raises(ContentsError, match="give key="):
        pipeline([[1]], lookup(len, cache_s=1), discard).run()
    got: list[int] = []
    pipeline([[1, 2]], lookup(len, cache_s=1, key=str), got.append).run()
    assert got == [2]


def test_a_look_up_may_be_in_one_flow_after_the_other() -> None:
    part = lookup(lambda item: item * 2)
    for _ in range(2):
        got: list[int] = []
        pipeline([1, 2], part, got.append).run()
        assert got == [2, 4]
