"""How often and when a worker that died is started again."""

import time

import pytest

from workers.pool.restarts import FIRST_PAUSE_S, MAX_PAUSE_S, Restarts


def test_the_pause_doubles_with_each_death_up_to_a_limit() -> None:
    restarts = Restarts(limit=None, window_s=60)
    pauses = [restarts.next_pause() or 0.0 for _ in range(8)]
    expected = [min(MAX_PAUSE_S, FIRST_PAUSE_S * 2**count) for count in range(8)]
    assert all(most * 0.75 <= pause <= most for pause, most in zip(pauses, expected, strict=True))


def test_after_the_limit_there_is_no_further_start() -> None:
    restarts = Restarts(limit=2, window_s=60)
    assert [restarts.next_pause() is None for _ in range(3)] == [False, False, True]
    assert Restarts(limit=0, window_s=60).next_pause() is None


def test_deaths_before_the_window_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    restarts = Restarts(limit=1, window_s=60)
    assert restarts.next_pause() is not None
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert restarts.next_pause() is not None
    assert restarts.next_pause() is None
