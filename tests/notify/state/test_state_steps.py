"""Atomic steps on one field of a state, each a script, so that no other write comes in between."""

import threading

import pytest

import notify
from notify import ContentsError, FencedError, FieldValueError, MissingKeyError, State
from notify.state.fence import ANY, Fence, registered
from notify.testing import fake_bus, wait_until
from tests.support.faults import commands_during, everything

GREATEST, LEAST = 2**63 - 1, -(2**63)


@pytest.fixture
def state(bus: notify.Bus) -> State:
    return bus.state("counter")


@pytest.fixture(autouse=True)
def _no_state_left(bus: notify.Bus):
    yield
    bus.state("counter").clear()


def test_S17_a_field_can_be_set_read_and_deleted(state):
    state["door"] = "open"
    assert (state["door"], state.get("door"), state.get("window", "unknown")) == ("open", "open", "unknown")
    del state["door"]
    with pytest.raises(MissingKeyError):
        state["door"]


def test_S17_concurrent_adds_and_appends_of_4_processes_lose_nothing(bus, server, start, state):
    processes = [start("add_up", server.url, 50) for _ in range(4)]
    assert {process.told() for process in processes} == {"ready"}
    for process in processes:
        process.go()
    assert [process.end() for process in processes] == [0] * 4
    assert state["n"] == 4 * 50 * 2
    assert len(state["list"]) == 4 * 50
    for process in processes:
        assert [number for pid, number in state["list"] if pid == process.pid] == list(range(50))


def test_S17_the_twin_reading_then_appending_loses_a_value(bus, another_bus, state):
    state["list"] = []
    both_have_read = threading.Barrier(2)

    def append(bus: notify.Bus) -> None:
        state = bus.state("counter")
        known = state["list"]
        both_have_read.wait()
        state["list"] = [*known, 1]

    threads = [threading.Thread(target=append, args=(one,)) for one in (bus, another_bus)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert state["list"] == [1]


@pytest.mark.parametrize("kind", ["real", "fake"])
def test_S17_a_missing_field_counts_as_0_or_an_empty_list(bus, kind):
    with fake_bus() as fake:
        state = (bus if kind == "real" else fake).state("counter")
        assert (state.increment("n"), state.increment("n", 41), state.decrement("n", 2), state.decrement("m")) == (1, 42, 40, -1)
        state.append("list", {"a": []})
        state.append("list", [])
        state.append("list", "é]")
        assert state.snapshot() == {"n": 40, "m": -1, "list": [{"a": []}, [], "é]"]}
        with pytest.raises(FieldValueError):
            state.increment("list")
        state.clear()


@pytest.mark.parametrize(
    ("there", "by", "result"),
    [(GREATEST - 1, 1, GREATEST), (LEAST, GREATEST, -1), (2**53, 1, 2**53 + 1), (GREATEST, LEAST, -1), (-5, 5, 0)],
)
def test_S17_integers_are_exact_up_to_64_bits(state, there, by, result):
    state["n"] = there
    assert state.increment("n", by) == result
    assert state["n"] == result


@pytest.mark.parametrize("there", [GREATEST, 2**64 - 1, 1.5, 1e3, True, None, "5", [], {"n": 1}])
def test_S17_incrementing_a_wrong_value_raises_and_keeps_it(bus, state, there):
    state["n"] = there
    before = everything(bus.redis)
    raw = bus.redis.hget(bus.keys.state("counter"), "n").decode()
    with pytest.raises(FieldValueError) as caught:
        state.increment("n")
    assert str(caught.value) == (f"'n' in the state of 'counter' holds {raw}: adding 1 needs an integer, and a sum of at most 64 bits")
    assert everything(bus.redis) == before


@pytest.mark.parametrize("there", [0, None, "[]", {"list": []}, "x" * 1000])
def test_S17_appending_to_a_wrong_value_raises_and_keeps_it(bus, state, there):
    state["list"] = there
    before = everything(bus.redis)
    with pytest.raises(FieldValueError, match=r"^'list' in the state of 'counter' holds .{1,101}: appending needs a list$"):
        state.append("list", 1)
    assert everything(bus.redis) == before


BAD = {
    "no integer to add": lambda state: state.increment("n", "1"),
    "true": lambda state: state.increment("n", True),
    "a fraction": lambda state: state.decrement("n", 1.0),
    "text to take away": lambda state: state.decrement("n", "1"),
    "more than 64 bits": lambda state: state.increment("n", GREATEST + 1),
    "more than 64 bits when it is turned round": lambda state: state.decrement("n", LEAST),
    "a field that is no text": lambda state: state.increment(5),
    "an object": lambda state: state.append("list", object()),
    "one value among good ones": lambda state: state.update({"a": 1, "b": object()}),
    "one field among good ones": lambda state: state.update([("a", 1), (5, 1)]),
}


@pytest.mark.parametrize("call", BAD.values(), ids=BAD)
def test_S17_an_invalid_argument_of_a_step_changes_nothing(bus, state, call):
    before = everything(bus.redis)
    with pytest.raises(ContentsError):
        call(state)
    assert everything(bus.redis) == before


def test_S17_an_update_is_atomic_for_readers(bus, another_bus, state):
    seen: list[dict[str, object]] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.append(another_bus.state("counter").snapshot())

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for number in range(200):
            state.update({"a": number}, b=number)
        wait_until(lambda: seen)
    finally:
        done.set()
        looking.join()
    assert all(found.get("a") == found.get("b") for found in seen)
    state.update()
    state.update([("c", 1)])
    assert state.snapshot() == {"a": 199, "b": 199, "c": 1}


def test_S17_each_step_is_one_round_trip(bus, state):
    for step in (lambda: state.increment("n"), lambda: state.append("list", 1), lambda: state.update(a=1, b=2)):
        step()
        assert len(commands_during(bus.redis, step)) == 1


def test_S17_a_step_is_refused_when_its_fence_has_fallen(bus):
    fenced = State(bus.redis, "counter", fences=lambda: (registered(bus.keys, "s"),))
    with bus.service("s"):
        fenced.increment("n")
    for step in (lambda: fenced.increment("n"), lambda: fenced.append("list", 1), lambda: fenced.update(n=5, m=5)):
        with pytest.raises(FencedError, match="a write to the state of 'counter' was refused"):
            step()
    assert fenced.snapshot() == {"n": 1}


def test_S17_a_list_written_by_hand_can_be_appended_to(bus, state):
    bus.redis.hset(bus.keys.state("counter"), "list", " [ ]\n")
    state.append("list", 1)
    bus.redis.hset(bus.keys.state("counter"), "other", "[ 1,\n 2 ] ")
    state.append("other", 3)
    assert state.snapshot() == {"list": [1], "other": [1, 2, 3]}


STEPS = {
    "set": lambda state: state.__setitem__("n", 1),
    "update": lambda state: state.update(n=1, m=2),
    "add": lambda state: state.add("new", 1),
    "modify": lambda state: state.modify("there", lambda value: value),
    "increment": lambda state: state.increment("there"),
    "append": lambda state: state.append("list", 1),
    "delete": lambda state: state.__delitem__("there"),
    "clear": lambda state: state.clear(),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_write_needs_all_its_fences_and_names_the_fallen_one(bus, step):
    bus.state("counter")["there"] = 1
    held = [Fence(f"rq:test:hash-{number}", "field", value, f"fence {number} fell") for number, value in enumerate(("mine", ANY))]
    behind = State(bus.redis, "counter", fences=lambda: tuple(held))
    before = everything(bus.redis)
    with pytest.raises(FencedError, match="a write to the state of 'counter' was refused: fence 0 fell") as caught:
        step(behind)
    assert caught.value.key == "rq:test:hash-0"
    bus.redis.hset("rq:test:hash-0", "field", "mine")
    with pytest.raises(FencedError, match="fence 1 fell"):
        step(behind)
    bus.redis.hset("rq:test:hash-1", "field", "whatever")
    for value in ("another", ""):
        bus.redis.hset("rq:test:hash-0", "field", value)
        with pytest.raises(FencedError, match="fence 0 fell"):
            step(behind)
    bus.redis.hset("rq:test:hash-0", "field", "mine")
    state_before = {key: value for key, value in everything(bus.redis).items() if key in before}
    assert state_before == before
    step(behind)
    assert {key: value for key, value in everything(bus.redis).items() if key in before} != before or step is STEPS["modify"]
    bus.state("counter").clear()


def test_fences_cost_no_round_trip(bus, state):
    held = tuple(Fence("rq:test:hash", field, "mine", "gone") for field in ("a", "b"))
    bus.redis.hset("rq:test:hash", mapping={"a": "mine", "b": "mine"})
    for fenced in (state, State(bus.redis, "counter", fences=lambda: held)):
        for step in (lambda fenced=fenced: fenced.increment("n"), lambda fenced=fenced: fenced.update(a=1)):
            step()
            assert len(commands_during(bus.redis, step)) == 1
