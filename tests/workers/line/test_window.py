"""The window: how many runs a worker has at most."""

import pytest

from workers.errors import JobDefinitionError
from workers.line import MOST_AHEAD, Window, window_of

pytestmark = pytest.mark.any_server


def after(*seconds: float) -> int:
    window = Window()
    for each in seconds:
        window.note(each)
    return window.size


def test_nothing_is_claimed_ahead_before_a_job_has_ended() -> None:
    assert Window().size == 1


@pytest.mark.parametrize(
    ("seconds", "size"), [(0.0, 32), (0.0001, 32), (0.0005, 10), (0.001, 5), (0.0025, 2), (0.003, 2), (0.015, 2), (0.016, 1), (10.0, 1)]
)
def test_it_holds_about_5_ms_of_work_and_one_job_ahead_while_jobs_are_short(seconds: float, size: int) -> None:
    assert after(seconds) == size


def test_one_long_job_among_short_ones_closes_it_and_short_ones_open_it_again() -> None:
    assert after(*[0.0001] * 50) == MOST_AHEAD
    assert after(*[0.0001] * 50, 1.0) == 1
    assert after(*[0.0001] * 50, 1.0, *[0.0001] * 10) == 1
    assert after(*[0.0001] * 50, 1.0, *[0.0001] * 120) == MOST_AHEAD


def test_a_fixed_size_follows_nothing() -> None:
    window = Window(7)
    window.note(10.0)
    assert window.size == 7


@pytest.mark.parametrize("size", [0, -1, MOST_AHEAD + 1])
def test_a_size_out_of_range_is_refused(size: int) -> None:
    with pytest.raises(JobDefinitionError, match=f"a window of {size} jobs"):
        Window(size)


@pytest.mark.parametrize(("text", "size"), [("", None), ("1", 1), ("32", 32)])
def test_the_environment_may_set_the_size(text: str, size: int | None) -> None:
    assert window_of({"NOTIFY_WINDOW": text} if text else {}) == size


@pytest.mark.parametrize("text", ["x", "-1", "1.5", " 2"])
def test_what_is_no_number_in_the_environment_is_refused(text: str) -> None:
    with pytest.raises(JobDefinitionError, match="NOTIFY_WINDOW"):
        window_of({"NOTIFY_WINDOW": text})
