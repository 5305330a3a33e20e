"""The watchdog of an event loop: it tells once who blocks the loop, and nothing of a loop that only waits."""

import asyncio
import threading
from typing import Any

import pytest

from notify.testing import wait_until
from workers.horse import watchdog
from workers.horse.watchdog import Watchdog

Told = list[tuple[str, float, str]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setattr(watchdog, "BLOCKED_S", 0.05)
    monkeypatch.setattr(watchdog, "LOOK_S", 0.01)
    return []


def run_watched(function: Any, told: Told) -> None:
    async def main() -> None:
        dog = Watchdog(lambda *what: told.append(what))
        dog.open(asyncio.get_running_loop())
        try:
            await asyncio.create_task(function(), name="job j")
        finally:
            dog.close()

    asyncio.run(main())


def test_a_task_that_blocks_the_loop_is_named_with_the_place(told: Told) -> None:
    async def block() -> None:
        wait_until(lambda: told)
        threading.Event().wait(0.1)  # it is told once

    run_watched(block, told)
    ((name, seconds, place),) = told
    assert (name, seconds > 0.05) == ("job j", True)
    assert ".py:" in place


def test_a_loop_that_waits_is_not_blocked(told: Told) -> None:
    run_watched(lambda: asyncio.sleep(0.2), told)  # four times as long as what would be told
    assert told == []


def test_without_ticks_of_the_loop_one_that_waits_would_look_blocked(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin."""
    tick = Watchdog._tick

    def tick_once(dog: Watchdog) -> None:
        tick(dog)
        dog._timer.cancel()

    monkeypatch.setattr(Watchdog, "_tick", tick_once)
    run_watched(lambda: asyncio.sleep(0.2), told)  # four times as long as what would be told
    assert len(told) == 1
