"""Real jobs with odd errors and values: the end is recorded, with a short reason everywhere; what cannot be stored is a clear error."""

from collections.abc import Callable
from typing import Any

import pytest

import notify
from notify import Event, SettingsError
from tests.support.workers_here import act
from workers import JobDefinitionError, Queue, Worker, job
from workers.jobs import MAX_REASON_CHARS, MAX_TRACEBACK_CHARS
from workers.overview import details_of

HALF = "a\ud800b"


@job("work")
def raise_odd(kind: str) -> None:
    if kind == "long":
        raise ValueError("x" * 10_000_000)
    if kind == "long lines":
        raise ValueError("x\n" * 5_000_000)
    if kind == "half a surrogate pair":
        raise ValueError(HALF)
    if kind == "a note":
        error = ValueError("x\ny")
        error.add_note("a\nnote")
        raise error
    raise ExceptionGroup("group\nmore", [ValueError("a"), KeyError("b")]) from OSError("c\nd")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("long", "ValueError: xxx"),
        ("long lines", "ValueError: x"),
        ("half a surrogate pair", "ValueError: a\\ud800b"),
        ("a note", "ValueError: x"),
        ("a group", "ExceptionGroup: group"),
    ],
)
def test_outcome_event_and_traceback_of_an_odd_error_are_kept_in_bounds(bus: notify.Bus, kind: str, reason: str) -> None:
    worker = Worker(["work"], connection=bus.redis, modules=[__name__])
    failing = Queue("work", connection=bus.redis).enqueue(raise_odd, kind)
    worker.work(burst=True)
    outcome = failing.outcome
    assert outcome is not None
    assert outcome.status == "failed"
    assert outcome.reason.startswith(reason)
    assert len(outcome.reason) <= MAX_REASON_CHARS
    assert 0 < len(details_of(failing).traceback) <= MAX_TRACEBACK_CHARS + 200
    with bus.subscribe("job.work", since="start") as events:
        told: list[Any] = [item.contents for item in iter(lambda: events.get(0.2), None) if isinstance(item, Event)]
    assert [each["reason"] for each in told if each["status"] == "failed"] == [outcome.reason]


@pytest.mark.parametrize("reason", [HALF, "x" * 10_000_000])
def test_a_reason_of_a_cancel_is_stored_escaped_and_short(bus: notify.Bus, reason: str) -> None:
    queue = Queue("work", connection=bus.redis)
    cancelled, swept = queue.enqueue(act), queue.enqueue(act)
    outcome = cancelled.cancel(reason)
    assert queue.cancel(where=lambda found: found.id == swept.id, reason=reason) == 1
    assert outcome == swept.outcome or outcome is None or outcome.reason == swept.outcome.reason  # type: ignore[union-attr]  # it was cancelled
    assert outcome is not None
    assert len(outcome.reason) <= MAX_REASON_CHARS
    assert outcome.reason.startswith(("a\\ud800b", "xxx"))


@pytest.mark.parametrize(
    ("act_with", "error"),
    [
        (lambda bus: Queue(HALF, connection=bus.redis), JobDefinitionError),
        (lambda bus: bus.publish("topic", 1, key=HALF), SettingsError),
        (lambda bus: notify.connect(bus.redis.address, name=HALF), SettingsError),
        (lambda bus: Queue("work", connection=bus.redis).enqueue(act, HALF), notify.NotifyError),
        (lambda bus: bus.publish("topic", {HALF: 1}), notify.NotifyError),
        (lambda bus: bus.state("svc").__setitem__("a", HALF), notify.NotifyError),
    ],
)
def test_half_a_surrogate_pair_that_cannot_be_stored_is_a_clear_error(
    bus: notify.Bus, act_with: Callable[[notify.Bus], object], error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"ud800|\\ud800"):
        act_with(bus)
