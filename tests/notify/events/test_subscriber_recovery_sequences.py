"""Receiving during random sequences of faults: the events are complete, or a gap covers the missing ones."""

from hypothesis import given, settings
from hypothesis import strategies as st

from notify import Event, Gap
from tests.support.faults import cut, publish_unheard, trim

STEPS = st.lists(
    st.one_of(
        st.just(("publish", 1)),
        st.tuples(st.just("publish unheard"), st.integers(1, 4)),
        st.just(("cut", 0)),
        st.tuples(st.just("trim"), st.integers(0, 3)),
        st.tuples(st.just("read"), st.integers(1, 5)),
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(STEPS, st.booleans())
def test_after_any_faults_the_sequence_is_whole_or_gaps_cover_the_missing(bus, another_bus, steps, had_events):
    bus.redis.flushall()
    if had_events:
        bus.publish("t", "before")
    published: list[str] = []
    forgotten: set[str] = set()
    items: list[Event | Gap] = []
    with another_bus.subscribe("t") as events:
        for step, amount in [*steps, ("publish", 1)]:
            if step == "publish":
                published.append(bus.publish("t", 0))
            elif step == "publish unheard":
                published += [publish_unheard(bus, "t", 0) for _ in range(amount)]
            elif step == "cut":
                cut(bus.redis, "another")
            elif step == "trim":
                trim(bus, "t", keep=amount)
                forgotten |= set(published[: len(published) - amount])
            else:
                items += [item for item in (events.get(0) for _ in range(amount)) if item is not None]
        while not (items and isinstance(items[-1], Event) and items[-1].id == published[-1]):
            item = events.get(5)
            assert item is not None, f"the end never came: {items}"
            items.append(item)
        assert events.get(0) is None
    _check_whole(items, published, forgotten)


def _check_whole(items: list[Event | Gap], published: list[str], forgotten: set[str]) -> None:
    at = 0  # how many of them are delivered or in a gap
    for item in items:
        if isinstance(item, Event):
            assert item.id == published[at]
            at += 1
        else:
            assert item.reason == "trimmed"
            assert at == 0 or item.first == published[at - 1]
            end = published.index(item.last) + 1
            assert end > at
            assert forgotten.issuperset(published[at:end])
            at = end
    assert at == len(published)
