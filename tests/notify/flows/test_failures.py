"""Stages that raise: the policies, the outlet for errors, and sources that raise."""

import logging
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from notify import SettingsError, WiringError
from notify.flows import Failed, Sink, Stage, TakesMany, graph, pipeline, retry, stage

pytestmark = pytest.mark.any_server


def invert(number: int) -> float:
    return 1 / number


async def invert_in_the_loop(number: int) -> float:
    return 1 / number


@pytest.mark.parametrize("work", [invert, invert_in_the_loop])
def test_a_stage_that_raises_ends_the_flow_with_its_error(work: Any) -> None:
    got: list[float] = []
    flow = pipeline([1, 2, 0, *[4] * 5_000], stage(work, name="invert"), got.append)
    with pytest.raises(ZeroDivisionError) as caught:
        flow.run()
    assert got == [1.0, 0.5]  # what was in the flow behind the stage is delivered
    assert caught.value.__notes__ == ["raised in the stage 'invert' of a flow, for the item 0"]
    counters = flow.counters()
    assert counters["invert"].errors == 1
    assert counters["invert"].taken + counters["invert"].dropped == counters["list"].out


def test_an_error_of_a_with_block_is_not_hidden_by_that_of_the_flow() -> None:
    with pytest.raises(KeyError) as caught, pipeline([0], invert, print) as flow:
        raise KeyError(flow.wait(5))
    assert "ZeroDivisionError" in caught.value.__notes__[0]
    with pytest.raises(ZeroDivisionError), pipeline([0], invert, print) as flow:
        flow.wait(5)


def test_a_stage_that_exits_ends_the_flow() -> None:
    def leave(_: int) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        pipeline([1], leave).run()


@pytest.mark.parametrize("work", [invert, invert_in_the_loop])
def test_a_skipped_item_is_counted_and_logged(work: Any, caplog: pytest.LogCaptureFixture) -> None:
    got: list[float] = []
    with caplog.at_level(logging.WARNING):
        flow = pipeline([1, 0, 0, 2], stage(work, name="invert", on_error="skip"), got.append)
        flow.run()
    assert got == [1.0, 0.5]
    counters = flow.counters()["invert"]
    assert (counters.taken, counters.out, counters.errors, counters.dropped) == (4, 2, 2, 2)
    assert [record.getMessage() for record in caplog.records] == [
        "'invert' skipped 1 item; the last was 0: ZeroDivisionError: division by zero"
    ]


class Flaky:
    """Raises for the first ``failures`` calls for each item."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls: dict[int, int] = {}

    def __call__(self, item: int) -> int:
        self.calls[item] = self.calls.get(item, 0) + 1
        if self.calls[item] <= self.failures:
            raise OSError(f"attempt {self.calls[item]}")
        return item


class FlakyMany(TakesMany):
    """The same for a stage that takes several items."""

    def __init__(self, failures: int) -> None:
        self.flaky = Flaky(failures)

    def take_many(self, items: list[int]) -> list[int]:
        return [self.flaky(item) for item in items]


@pytest.mark.parametrize("kind", [Flaky, FlakyMany])
def test_a_stage_is_called_again_as_often_as_was_asked_for(kind: Any) -> None:
    got: list[int] = []
    pipeline([7], stage(kind(2), on_error=retry(2, 0.001)), got.append).run()
    assert got == [7]
    with pytest.raises(OSError, match="attempt 3"):
        pipeline([7], stage(kind(3), on_error=retry(2, 0.001)), got.append).run()
    errors: list[Failed] = []
    work = stage(kind(3), name="flaky", on_error=retry(2, 0.001))
    pipeline([7], work, got.append, errors=errors.append).run()
    assert [(failed.item, str(failed.error), failed.stage) for failed in errors] == [(7, "attempt 3", "flaky")]
    pipeline([7], stage(kind(3), on_error=retry(2, 0.001, then="skip")), got.append).run()
    assert got == [7]


def test_the_pauses_between_attempts_grow() -> None:
    pauses = list(retry(12, 0.1).pauses())
    assert len(pauses) == 12
    assert all(0.05 * 2**n <= pause <= 0.1 * 2**n for n, pause in enumerate(pauses[:8]))
    assert max(pauses) <= 30


def test_results_of_a_repeated_attempt_do_not_come_twice() -> None:
    attempts: list[int] = []

    def several(item: int) -> Iterator[int]:
        yield item
        attempts.append(item)
        if len(attempts) == 1:
            raise OSError
        yield item + 1

    got: list[int] = []
    pipeline([1], stage(several, on_error=retry(1, 0.001)), got.append).run()
    assert got == [1, 2]
    assert attempts == [1, 1]


def test_an_error_amid_the_results_of_an_item_goes_the_way_of_errors() -> None:
    def several(item: int) -> Iterator[int]:
        yield item
        raise OSError

    got: list[int] = []
    errors: list[Failed] = []
    pipeline([1, 2], several, got.append, errors=errors.append).run()
    assert got == [1, 2]
    assert [failed.item for failed in errors] == [1, 2]


def test_an_error_in_a_hook_goes_the_way_of_errors() -> None:
    class Ending(Stage):
        def take(self, item: int) -> int:
            return item

        def end(self) -> None:
            raise OSError("at the end")

    errors: list[Failed] = []
    pipeline([1], Ending(), print, errors=errors.append).run()
    assert [(failed.item, str(failed.error)) for failed in errors] == [(None, "at the end")]


def test_a_stage_can_refuse_single_items_of_many() -> None:
    class Writer(TakesMany, Sink):
        def take_many(self, items: list[int]) -> list[Any]:
            return [Failed(item, ValueError("odd")) for item in items if item % 2]

    errors: list[Failed] = []
    flow = pipeline(range(5), Writer(), errors=errors.append)
    flow.run()
    assert [(failed.item, failed.stage) for failed in errors] == [(1, "Writer"), (3, "Writer")]
    assert flow.counters()["Writer"].errors == 2


def test_an_error_of_a_source_ends_the_flow_after_its_items_are_delivered() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        raise OSError("unplugged")

    async def numbers_in_the_loop() -> AsyncIterator[int]:
        yield 1
        raise OSError("unplugged")

    for source in (numbers, numbers_in_the_loop):
        got: list[int] = []
        with pytest.raises(OSError, match="unplugged"):
            pipeline(source, got.append).run()
        assert got == [1]


def test_a_source_is_read_anew_after_an_error_if_that_was_asked_for() -> None:
    opened: list[int] = []

    def numbers() -> Iterator[int]:
        opened.append(1)
        yield len(opened)
        if len(opened) < 4:
            raise OSError("unplugged")

    got: list[int] = []
    flow = pipeline(stage(numbers, on_error=retry(1, 0.001)), got.append)
    flow.run()
    assert got == [1, 2, 3, 4]  # an item begins a new series of attempts


def test_a_generator_cannot_be_read_anew() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        pipeline(stage(numbers(), on_error=retry(5, 0.001)), print).run()


def test_the_error_outlet_of_a_source_gets_its_error() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        raise OSError("unplugged")

    errors: list[Failed] = []
    graph(nodes={"in": numbers, "got": print, "errors": errors.append}, links={"in": "got", ("in", "error"): "errors"}).run()
    assert [(failed.stage, str(failed.error)) for failed in errors] == [("in", "unplugged")]


@pytest.mark.parametrize(
    ("arguments", "kind"), [((0,), WiringError), ((True,), WiringError), ((1.5,), WiringError), ((1, 0), SettingsError)]
)
def test_a_retry_that_cannot_be_done_is_refused(arguments: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        retry(*arguments)


def test_a_failed_item_passes_through_further_stages_as_an_item() -> None:
    got: list[Failed] = []
    graph(
        nodes={"in": range(4), "divide": invert, "got": print, "same": lambda failed: failed, "errors": got.append},
        links={"in": "divide", "divide": "got", ("divide", "error"): "same", "same": "errors"},
    ).run()
    assert [(failed.item, failed.stage) for failed in got] == [(0, "divide")]


def test_a_stage_that_passes_failed_items_on_can_fail_too() -> None:
    got: list[Failed] = []
    errors: list[Failed] = []
    known = Failed(1, ValueError("known"), "elsewhere")
    refused = Failed(2, ValueError("new"))
    pipeline([known, refused, known], stage(lambda item: item, name="same"), got.append, errors=errors.append).run()
    assert got == [known, known]
    assert [(failed.item, failed.stage) for failed in errors] == [(2, "list")]


def test_a_flow_that_fails_while_its_source_waits_ends_too() -> None:
    waits = threading.Event()

    def source() -> Iterator[int]:
        yield 0
        waits.wait(10)

    with pytest.raises(ZeroDivisionError), pipeline(source, invert, print) as flow:
        assert flow.wait(5)
    waits.set()
