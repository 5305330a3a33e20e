"""The forecast of ends: which runs are about to end, by how long others of their function took."""

import math
from types import SimpleNamespace
from typing import Any

import pytest

from workers.worker.side_by_side import forecast
from workers.worker.side_by_side.forecast import REST_S, Forecast

pytestmark = pytest.mark.any_server

NOW_S = 100.0


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "time", SimpleNamespace(monotonic=lambda: NOW_S))


def members(*ages_s: float | None, path: str = "f") -> Any:
    """Runs that have gone on for so long, or have not begun."""
    return [SimpleNamespace(path=path, has_begun=age_s is not None, began=NOW_S - (age_s or 0.0)) for age_s in ages_s]


def a_forecast(*, is_enabled: bool = True, **means_s: float) -> Forecast:
    made = Forecast(is_enabled=is_enabled)
    for path, mean_s in means_s.items():
        made.note(path, mean_s)
    return made


def test_runs_are_about_to_end_whose_age_is_that_of_others_at_their_end() -> None:
    """Nothing is known of one that goes on for longer than others."""
    ends, in_s = a_forecast(f=0.05).ends(members(0.5, 0.055, 0.049, 0.041, 0.02, 0.01, None))
    assert (dict(ends), in_s) == ({"f": 3}, pytest.approx(0.02))


def test_each_function_has_its_own_mean() -> None:
    ends, in_s = a_forecast(f=0.05, g=1.0).ends([*members(0.995, path="g"), *members(0.05), *members(0.05, path="g")])
    assert (dict(ends), in_s) == ({"g": 1, "f": 1}, pytest.approx(0.94))


def test_the_mean_follows_the_runs() -> None:
    made = a_forecast(f=0.05)
    for _ in range(100):
        made.note("f", 0.5)
    assert made.ends(members(0.05))[0].total() == 0
    assert made.ends(members(0.5))[0].total() == 1


@pytest.mark.parametrize("made", [a_forecast(), a_forecast(is_enabled=False, f=0.05)], ids=["nothing is known", "a window of 1"])
def test_nothing_is_foretold_without_knowledge_or_leave(made: Forecast) -> None:
    ends, in_s = made.ends(members(0.05))
    assert (ends.total(), in_s) == (0, math.inf)


def test_nothing_is_foretold_for_a_while_after_a_wrong_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    made = a_forecast(f=0.05)
    made.failed()
    assert made.ends(members(0.05))[0].total() == 0
    monkeypatch.setattr(forecast, "time", SimpleNamespace(monotonic=lambda: NOW_S + REST_S))
    assert made.ends(members(0.05 - REST_S))[0].total() == 1
