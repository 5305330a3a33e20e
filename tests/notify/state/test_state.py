"""The state of a service as a mapping: shared by processes, with values that people can read."""

import json
import threading
from collections.abc import Callable, MutableMapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

import notify
from notify import ContendedError, ContentsError, FencedError, MissingKeyError, State
from notify.state import state as state_module
from notify.state.fence import registered
from tests.notify.values.test_encoder import text, values
from tests.support.faults import everything
from tests.support.processes import Process


@pytest.fixture
def state(bus: notify.Bus) -> State:
    return bus.state("counter")


def test_a_state_is_a_mutable_mapping_with_a_snapshot(state):
    assert isinstance(state, MutableMapping)
    state.update(a=1, b=[None, {"x": "é"}])
    assert (state["b"], state.get("c", "default"), len(state)) == ([None, {"x": "é"}], "default", 2)
    assert sorted(state) == ["a", "b"]
    assert state.snapshot() == dict(state) == {"a": 1, "b": [None, {"x": "é"}]}
    assert state.pop("a") == 1
    assert list(state.items()) == [("b", [None, {"x": "é"}])]
    state.clear()
    assert not state
    assert repr(state) == "<State notify:state:counter>"


@given(text, values)
def test_a_value_comes_back_as_it_was_stored(bus, field, value):
    state = bus.state("s")
    state[field] = value
    assert repr(state[field]) == repr(value)
    assert repr(state.snapshot()) == repr({field: value})
    del state[field]


def test_a_state_behaves_like_a_dict(bus):
    class LikeADict(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.state = {}, bus.state("like-a-dict")
            self.state.clear()

        fields = st.sampled_from(["a", "b", ""])

        @rule(field=fields, value=st.integers())
        def set(self, field: str, value: int) -> None:
            self.model[field] = self.state[field] = value % 1000

        @rule(field=fields)
        def remove(self, field: str) -> None:
            assert self.state.pop(field, None) == self.model.pop(field, None)

        @rule(field=fields)
        def add(self, field: str) -> None:
            assert self.state.add(field, 7) == (field not in self.model)
            self.model.setdefault(field, 7)

        @rule()
        def compare(self) -> None:
            assert (self.state.snapshot(), len(self.state)) == (self.model, len(self.model))
            assert all((field in self.state) == (field in self.model) for field in ("a", "b", "", "c"))

        @rule()
        def clear(self) -> None:
            self.state.clear()
            self.model.clear()

    run_state_machine_as_test(LikeADict)
    bus.state("like-a-dict").clear()


@pytest.mark.parametrize(
    "call", [lambda s: s["missing"], lambda s: s.__delitem__("missing"), lambda s: s.modify("missing", lambda value: value)]
)
def test_L18_a_missing_field_raises_and_is_not_created(bus, state, call):
    before = everything(bus.redis)
    with pytest.raises(MissingKeyError, match=r"^the state of 'counter' has no field 'missing'$"):
        call(state)
    assert everything(bus.redis) == before


def test_L18_a_stored_null_is_not_missing(state):
    state["nothing"] = None
    assert state["nothing"] is None
    assert "nothing" in state
    assert state.modify("nothing", lambda value: value is None) is True
    assert "missing" not in state
    state.clear()


def test_L17_add_keeps_the_value_of_an_existing_field(state):
    assert state.add("f", 1)
    assert not state.add("f", 2)
    assert state["f"] == 1
    state.clear()


def test_values_are_json_that_people_can_read_and_write(bus, state):
    state["temperatures"] = {"13:08": "21°C"}
    raw = bus.redis.hget("notify:state:counter", "temperatures")
    assert json.loads(raw) == {"13:08": "21°C"}
    bus.redis.hset("notify:state:counter", mapping={"number": "21.5", "word": "warm", "binary": b"\xff", "deep": "[" * 100_000})
    assert (state["number"], state["word"], state["binary"]) == (21.5, "warm", "\ufffd")
    assert state["deep"] == "[" * 100_000
    assert state.modify("number", lambda value: value + 1) == 22.5
    assert state.modify("word", str.upper) == "WARM"
    assert bus.redis.hget("notify:state:counter", "word") == b'"WARM"'
    state.clear()


BAD_WRITES: dict[str, Callable[[State], object]] = {
    "an object": lambda state: state.update(f=object()),
    "a lone surrogate": lambda state: state.update(f="\ud800"),
    "a new value from modify": lambda state: state.modify("f", lambda _: [range(3)]),
    "a value to add": lambda state: state.add("g", object()),
    "a field that is no text": lambda state: state.__setitem__(5, 1),
    "a field that is no clean text": lambda state: state.__setitem__("\ud800", 1),
    "no field to modify": lambda state: state.modify(None, lambda value: value),
}


@pytest.mark.parametrize("write", BAD_WRITES.values(), ids=BAD_WRITES)
def test_a_value_that_is_not_json_is_refused_and_changes_nothing(bus, state, write):
    state["f"] = 1
    before = everything(bus.redis)
    with pytest.raises(ContentsError):
        write(state)
    assert everything(bus.redis) == before
    state.clear()


@pytest.mark.parametrize("field", [None, 5, b"f", "\ud800"])
def test_an_invalid_field_name_is_not_in_a_state(state, field):
    assert field not in state


def test_L19_modify_returns_the_new_value_and_keeps_other_fields(state):
    state.update(a=1, b=5)
    assert state.modify("a", lambda value: value + 1) == 2
    assert state.snapshot() == {"a": 2, "b": 5}
    state.clear()


def test_L19_an_error_of_the_change_function_is_raised_unchanged(state):
    """The field keeps its value."""
    state["f"] = {"a": 1}
    with pytest.raises(KeyError) as caught:
        state.modify("f", lambda value: value["missing"])
    assert type(caught.value) is KeyError
    with pytest.raises(ZeroDivisionError):
        state.modify("f", lambda value: 1 / 0)
    assert state["f"] == {"a": 1}
    state.clear()


def _let_all_go_together(processes: list[Process], times: int) -> None:
    """Let the processes write together: in each round, no process writes before all have read."""
    for _ in range(times):
        for process in processes:
            assert process.told() == "read"
        for process in processes:
            process.go()
    assert [process.end() for process in processes] == [0] * len(processes)


def test_L19_4_processes_that_add_4_times_make_16(server, start, state):
    state["n"] = 0
    _let_all_go_together([start("modify", server.url, 4) for _ in range(4)], 4)
    assert state["n"] == 16
    state.clear()


@pytest.mark.any_server
def test_L19_the_twin_reading_then_writing_loses_updates(server, start, state):
    state["n"] = 0
    _let_all_go_together([start("read_then_write", server.url, 4) for _ in range(4)], 4)
    assert state["n"] == 4
    state.clear()


def test_L19_a_field_deleted_during_modify_is_not_created_again(bus, state):
    state["f"] = 1

    def change(value: int) -> int:
        bus.state("counter").clear()
        return value + 1

    with pytest.raises(MissingKeyError):
        state.modify("f", change)
    assert not state


def test_modify_gives_up_when_it_is_always_overtaken(bus, state, monkeypatch):
    monkeypatch.setattr(state_module, "MODIFY_TIMEOUT_S", 0.1)
    state["f"] = 0
    other = bus.state("counter")

    def be_overtaken(value: int) -> int:
        other["f"] = value + 1
        return -1

    with pytest.raises(ContendedError, match="'f' in the state of 'counter'"):
        state.modify("f", be_overtaken)
    assert state["f"] > 0
    state.clear()


def test_S17_a_hundred_concurrent_modifications_lose_nothing(bus, state):
    state["n"] = 0
    together = threading.Barrier(20)

    def add() -> None:
        together.wait()
        for _ in range(5):
            bus.state("counter").modify("n", lambda value: value + 1)

    threads = [threading.Thread(target=add) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert state["n"] == 100
    state.clear()


def test_a_fence_on_any_incarnation_stands_during_a_registration(bus):
    fenced = State(bus.redis, "data", fences=lambda: (registered(bus.keys, "s"),))
    with pytest.raises(FencedError, match="a write to the state of 'data' was refused: 's' is not registered"):
        fenced["f"] = 1
    for value in (1, 2):
        with bus.service("s"):
            fenced["f"] = value
    with pytest.raises(FencedError):
        fenced.add("g", 1)
    assert fenced.snapshot() == {"f": 2}
    bus.state("data").clear()


def test_a_fenced_state_is_writable_only_while_its_service_is_there(bus):
    outside, fenced = bus.state("storage"), bus.state("storage", fenced=True)
    with bus.service("storage"):
        fenced["count"] = 1
    with pytest.raises(notify.FencedError):
        fenced["count"] = 2
    assert outside["count"] == 1
    outside["count"] = 3
