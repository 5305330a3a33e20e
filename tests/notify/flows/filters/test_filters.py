"""Filters that choose, change, sort, gather and slow down items."""

import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from notify import ContentsError, Event, Gap, SettingsError, UnroutedError, WiringError
from notify.flows import (
    EventFilter,
    Failed,
    Stage,
    batch,
    changed_by,
    contents,
    demux,
    discard,
    distinct,
    format_output,
    graph,
    matches,
    pipeline,
    stage,
    throttle,
)
from notify.testing import wait_until

pytestmark = pytest.mark.any_server


def through(part: Any, items: Any) -> list[Any]:
    """What a part hands on of items."""
    got: list[Any] = []
    pipeline(items, part, got.append).run()
    return got


@pytest.mark.parametrize(
    ("part", "items", "handed_on"),
    [
        (matches("a.c"), ["abc", "xaxcx", "ab", b"abc"], ["abc", "xaxcx", b"abc"]),
        (matches(re.compile("A", re.IGNORECASE)), ["a", "b"], ["a"]),
        (matches(lambda n: n > 1), [1, 2, 3], [2, 3]),
        (matches(lambda _: True), [[1, 2]], [[1, 2]]),
        (matches(r"(\w+)=(\d+)", groups=True), ["a=1", "b", "c=2"], [("a", "1"), ("c", "2")]),
        (format_output("{0} is {1}"), [("a", 1)], ["a is 1"]),
        (format_output("{name} is {n}"), [{"name": "a", "n": 1}], ["a is 1"]),
        (format_output("<{}>"), ["a", 5], ["<a>", "<5>"]),
        (format_output(lambda name, n: name * n), [("a", 3)], ["aaa"]),
        (contents, [Event(topic="t", contents={"a": 1}), 5], [{"a": 1}, 5]),
        (matches("1"), [Event(topic="t", contents="0")], []),
        (distinct(), ["a", "b", "a", Event(topic="t", contents="a")], ["a", "b"]),
        (distinct(key=len), ["a", "b", "ab"], ["a", "ab"]),
        (distinct(), [(1,), (1,)], [(1,)]),
        (batch(2), range(5), [[0, 1], [2, 3], [4]]),
        (batch(2), [], []),
        (throttle(1_000), [[1], 2], [[1], 2]),
    ],
)
def test_K7_what_a_filter_hands_on(part: Any, items: Any, handed_on: list[Any]) -> None:
    assert through(part, items) == handed_on


def test_K7_only_matching_events_are_sent_in_the_form_of_the_filter() -> None:
    class Alarms(EventFilter):
        pattern = r"ALARM (\w+) (\d+)"

        def format_output(self, *args: Any) -> str:
            place, level = args
            return f"{place}: {level}"

    assert through(Alarms(), ["ALARM cellar 3", "all is well", "ALARM attic 1"]) == ["cellar: 3", "attic: 1"]


def test_K8_an_event_filter_may_prepare_items_with_something_that_blocks() -> None:
    class Known(EventFilter):
        def prepare(self, item: str) -> str | None:
            time.sleep(0.001)  # as a look-up in a database does
            return {"4711": "the boiler"}.get(item)

        def match(self, item: str) -> bool:
            return item.startswith("the")

    assert through(Known(), ["4711", "4712"]) == ["the boiler"]
    assert through(EventFilter(), ["all"]) == ["all"]


def test_an_item_that_is_no_text_is_an_error_of_a_pattern() -> None:
    errors: list[Failed] = []
    pipeline(["a", 5, b"\xff"], matches("a"), discard, errors=errors.append).run()
    assert [type(failed.error) for failed in errors] == [ContentsError, ContentsError]


def level(item: int) -> object:
    return {0: "normal", 1: "important", 2: "critical"}.get(item % 4)


def test_K9_a_classifier_names_the_outlet_and_the_rest_goes_to_error() -> None:
    got: dict[str, list[Any]] = {"normal": [], "important": [], "critical": [], "error": []}
    graph(
        nodes={
            "in": range(100),
            "split": demux(level, outlets=("normal", "important", "critical")),
            **{k: v.append for k, v in got.items()},
        },
        links={"in": "split", **{("split", outlet): outlet for outlet in got}},
    ).run()
    assert got["normal"] == list(range(0, 100, 4))
    assert got["important"] == list(range(1, 100, 4))
    assert got["critical"] == list(range(2, 100, 4))
    assert [failed.item for failed in got["error"]] == list(range(3, 100, 4))
    assert {type(failed.error) for failed in got["error"]} == {UnroutedError}


def test_K9_an_item_of_no_class_is_never_thrown_away() -> None:
    nodes = {"in": range(8), "split": demux(level, outlets=("normal",)), "normal": discard}
    with pytest.raises(UnroutedError, match="the class of an item is 'important', and the outlets are 'normal'"):
        graph(nodes=nodes, links={"in": "split", ("split", "normal"): "normal"}).run()
    flow = graph(
        nodes={**nodes, "split": stage(demux(level, outlets=("normal",)), on_error="skip")},
        links={"in": "split", ("split", "normal"): "normal"},
    )
    flow.run()
    assert flow.counters()["split"].dropped == 6


def test_a_demultiplexer_can_have_an_outlet_for_the_rest() -> None:
    rest: list[int] = []
    graph(
        nodes={"in": range(8), "split": demux(level, outlets=("normal", "rest"), otherwise="rest"), "normal": discard, "rest": rest.append},
        links={"in": "split", ("split", "normal"): "normal", ("split", "rest"): "rest"},
    ).run()
    assert rest == [1, 2, 3, 5, 6, 7]


def test_a_demultiplexer_has_each_outlet_linked() -> None:
    with pytest.raises(WiringError, match="the outlet 'b' of 'split' is linked to nothing"):
        graph(nodes={"in": [1], "split": demux(level, outlets=("a", "b")), "a": discard}, links={"in": "split", ("split", "a"): "a"})


def test_a_throttle_hands_on_evenly_and_loses_nothing() -> None:
    times: list[float] = []
    began = time.monotonic()
    pipeline(range(6), throttle(50), lambda _: times.append(time.monotonic() - began)).run()
    assert len(times) == 6
    assert times[-1] >= 5 / 50


def test_a_throttle_that_drops_counts_what_it_drops() -> None:
    flow = pipeline(range(100), throttle(0.1, drop=True), discard)
    flow.run()
    counters = flow.counters()["Throttle"]
    assert (counters.taken, counters.out, counters.dropped) == (100, 1, 99)


def test_a_throttle_that_waits_does_not_keep_the_flow_from_ending() -> None:
    flow = pipeline(range(3), throttle(0.01), discard).start()
    assert flow.close(timeout_s=0.1) is False
    counters = flow.counters()
    assert counters["Throttle"].dropped + counters["discard"].taken == 3


def test_distinct_forgets_after_its_window() -> None:
    long, short = distinct(window_s=60), distinct(window_s=0.001)
    assert (long("a"), short("a")) == (["a"], ["a"])
    time.sleep(0.002)  # longer than the short window
    assert (long("a"), short("a")) == (None, ["a"])


def test_a_batch_is_handed_on_after_its_time() -> None:
    got: list[Any] = []

    def slow() -> Iterator[int]:
        yield 1
        yield 2
        wait_until(lambda: got == [[1, 2]], what="the batch, though the source goes on")
        yield 3

    pipeline(slow, batch(100, 0.2), got.append).run()
    assert got == [[1, 2], [3]]


def test_a_gap_ends_a_batch() -> None:
    gap = Gap("t", "trimmed", None, None)
    got: list[Any] = []
    pipeline([1, 2, gap, 3], batch(100), stage(got.append, gaps=True)).run()
    assert got == [[1, 2], gap, [3]]


def test_a_batch_that_is_cut_counts_what_it_held() -> None:
    go_on = threading.Event()

    def waiting() -> Iterator[int]:
        yield from range(10)
        go_on.wait(10)

    flow = pipeline(waiting, batch(100), discard).start()
    wait_until(lambda: flow.counters()["Batch"].taken == 10, what="the items")
    assert flow.close(timeout_s=0) is False
    go_on.set()
    assert flow.counters()["Batch"].dropped == 10


@pytest.mark.parametrize(("against", "handed_on"), [("published", [20, 26, 20]), ("previous", [26, 20])])
def test_the_rule_of_the_thermometer(against: Any, handed_on: list[int]) -> None:
    assert through(changed_by(5, against=against), [20, 21, 20, 26, 20]) == handed_on


def test_a_slow_drift_is_seen_against_what_was_published_only() -> None:
    drift = [float(n) for n in range(12)]
    assert through(changed_by(5), drift) == [0, 6]
    assert through(changed_by(5, against="previous"), drift) == []
    readings = [{"celsius": n} for n in drift]
    assert through(changed_by(5, value=lambda r: r["celsius"]), readings) == [{"celsius": 0}, {"celsius": 6}]
    with pytest.raises(ContentsError, match="and no number"):
        through(changed_by(5), ["warm"])


@pytest.mark.parametrize(
    "make",
    [
        lambda: matches("("),
        lambda: matches(5),  # type: ignore[arg-type]  # the mistake under test
        lambda: matches(len, groups=True),
        lambda: format_output(5),  # type: ignore[arg-type]  # the mistake under test
        lambda: demux(len, outlets=()),
        lambda: demux(len, outlets="abc"),
        lambda: demux(len, outlets=("a", "error")),
        lambda: demux(len, outlets=("a",), otherwise="b"),
        lambda: throttle(0),
        lambda: distinct(window_s=0),
        lambda: batch(0),
        lambda: batch(2, 0),
        lambda: changed_by(float("nan")),
        lambda: changed_by(5, against="last"),  # type: ignore[arg-type]  # the mistake under test
    ],
)
def test_a_filter_that_cannot_work_is_refused(make: Any) -> None:
    with pytest.raises((WiringError, SettingsError)):
        make()


def test_a_list_cannot_be_a_key() -> None:
    with pytest.raises(ContentsError, match="give key="):
        through(distinct(), [[1]])


def test_every_filter_names_itself() -> None:
    parts = [matches("a"), format_output("a"), distinct(), changed_by(5), throttle(5), batch(2), demux(len, outlets=("a",)), Stage()]
    names = ["matches", "format_output", "distinct", "changed_by", "Throttle", "Batch", "Demultiplexer", "Stage"]
    assert [stage(part).label for part in parts] == names
