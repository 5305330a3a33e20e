"""Graphs: named outlets, one outlet for several nodes, several links into one, and wiring that is refused."""

from typing import Any

import pytest

from notify import WiringError
from notify.flows import Failed, Link, Stage, To, batch, discard, graph, pipeline, stage

pytestmark = pytest.mark.any_server


class Split(Stage):
    """Sorts numbers into even and odd ones."""

    outlets = ("even", "odd")

    def take(self, item: int) -> To:
        return To("odd" if item % 2 else "even", item)


def test_K10_a_graph_has_named_outlets_and_several_links_from_and_to_a_node() -> None:
    even: list[int] = []
    odd: list[int] = []
    both: list[int] = []
    flow = graph(
        nodes={"in": range(100), "split": Split(), "even": even.append, "odd": odd.append, "both": both.append},
        links={"in": "split", ("split", "even"): ["even", "both"], ("split", "odd"): ["odd", "both"]},
    )
    assert list(flow.nodes) == ["in", "split", "even", "odd", "both"]
    assert Link("split", "odd", "both") in flow.links
    flow.run()
    assert even == list(range(0, 100, 2))
    assert odd == list(range(1, 100, 2))
    assert both == list(range(100))


def test_K10_a_plain_function_can_have_outlets_too() -> None:
    got: list[int] = []
    sort = stage(lambda n: To("small" if n < 5 else "large", n), outlets=("small", "large"))
    graph(
        nodes={"in": range(10), "sort": sort, "got": got.append, "off": discard},
        links=[("in", "sort"), (("sort", "small"), "got"), (("sort", "large"), "off")],
    ).run()
    assert got == list(range(5))


def test_several_sources_end_a_stage_when_the_last_one_has_ended() -> None:
    got: list[int] = []
    graph(nodes={"a": range(100), "b": range(100, 200), "got": got.append}, links={"a": "got", "b": "got"}).run()
    assert sorted(got) == list(range(200))
    assert [n for n in got if n < 100] == list(range(100))
    assert [n for n in got if n >= 100] == list(range(100, 200))


def test_a_node_with_two_ways_to_it_gets_the_item_by_each() -> None:
    got: list[str] = []
    graph(
        nodes={"in": ["x"], "one": lambda item: f"{item}1", "two": lambda item: f"{item}2", "got": got.append},
        links={"in": ["one", "two"], "one": "got", "two": "got"},
    ).run()
    assert sorted(got) == ["x1", "x2"]


@pytest.mark.parametrize(
    ("links", "problem"),
    [
        ({}, "no link leads to 'split', and it is no source"),
        ({"in": "split"}, "no link leads to 'sink'"),
        ({"in": "split", ("split", "even"): "sink"}, "the outlet 'odd' of 'split' is linked to nothing: .*discard"),
        ({"in": "sink"}, "no link leads to 'split'"),
        ({"in": "filter"}, "names 'filter', and there is no such node: there are 'in', 'sink', 'split'"),
        ({"from": "sink"}, "names 'from'"),
        ({"in": "split", ("split", "evn"): "sink"}, "'split' has no outlet 'evn': it has 'error', 'even', 'odd'"),
        ({"in": "split", ("split", "even"): "split", ("split", "odd"): "sink"}, "make a cycle: split -> split"),
        (
            {"in": "split", ("split", "even"): "sink", ("split", "odd"): "sink", "sink": "split"},
            "a cycle: (split -> sink -> split|sink -> split -> sink)",
        ),
        ({"in": "split", "split": "sink"}, "'split' has no outlet 'out'"),
        ({"sink": "in", "in": "split"}, "no link leads to 'sink', and it is no source|a link leads to 'in', and range"),
        ([("in", 5)], "give names of nodes"),
        ([(("in", "out", "more"), "sink")], "give names of nodes"),
    ],
)
def test_wiring_that_makes_no_graph_is_refused(links: Any, problem: str) -> None:
    with pytest.raises(WiringError, match=problem):
        graph(nodes={"in": range(3), "split": Split(), "sink": print}, links=links)


def test_a_graph_without_nodes_and_an_item_to_a_node_that_takes_none_are_refused() -> None:
    with pytest.raises(WiringError, match="there is no node"):
        graph(nodes={}, links={})
    with pytest.raises(WiringError, match="a link leads to 'more', and range"):
        graph(nodes={"in": [1], "more": range(3)}, links={"in": "more"})
    with pytest.raises(WiringError, match="the outlet 'out' of 'in' is linked to nothing"):
        graph(nodes={"in": [1]}, links={})


def test_an_object_with_a_state_is_at_one_place_only() -> None:
    held, numbers = batch(2), iter(range(3))
    with pytest.raises(WiringError, match="'Batch' and 'Batch-2' are the same object"):
        pipeline(numbers, held, held, print)
    with pytest.raises(WiringError, match="'a' and 'b' are the same object"):
        graph(nodes={"a": numbers, "b": numbers, "got": print}, links={"a": "got", "b": "got"})
    graph(nodes={"a": [1], "b": [1], "one": discard, "two": discard}, links={"a": "one", "b": "two"}).run()


def test_an_item_for_an_unlinked_outlet_ends_the_flow_with_an_error() -> None:
    class Wrong(Stage):
        outlets = ("right",)

        def take(self, item: int) -> To:
            return To("wrong", item)

    flow = graph(nodes={"in": [1], "sort": Wrong(), "got": print}, links={"in": "sort", ("sort", "right"): "got"})
    with pytest.raises(WiringError, match="'sort' sent an item to its outlet 'wrong'"):
        flow.run()


def test_what_a_stage_refuses_goes_to_its_error_outlet() -> None:
    got: list[float] = []
    errors: list[Failed] = []
    graph(
        nodes={"in": [1, 0, 2], "divide": lambda n: 2 / n, "got": got.append, "errors": errors.append},
        links={"in": "divide", "divide": "got", ("divide", "error"): "errors"},
    ).run()
    assert got == [2.0, 1.0]
    assert [(failed.item, type(failed.error), failed.stage) for failed in errors] == [(0, ZeroDivisionError, "divide")]


def test_a_stage_that_is_no_coroutine_function_must_not_return_a_coroutine() -> None:
    async def later(item: int) -> int:
        return item

    flow = graph(nodes={"in": [1], "wrong": lambda item: later(item), "got": print}, links={"in": "wrong", "wrong": "got"})
    with pytest.raises(WiringError, match="write it as async def"):
        flow.run()
