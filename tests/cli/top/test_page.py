"""A page of ``notify top``: what a terminal of some width has room for, and bars of text."""

import pytest

from cli.top.page import Page, Row, fitting, sparkline

pytestmark = pytest.mark.any_server

LONG = "x" * 90
PAGE = Page(
    ("id", "queue", "function", "why"),
    [Row("1", {"id": "1" * 36, "queue": "work", "function": "jobs.send", "why": LONG}), Row("2", {"id": "2", "why": ""})],
    spare=("queue",),
)


def width_of(columns: list[str], rows: list[list[str]]) -> int:
    return sum(max(len(row[at]) for row in [columns, *rows]) + 2 for at in range(len(columns)))


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_a_page_fits_into_the_width(width: int) -> None:
    columns, rows = fitting(PAGE, width)
    assert width_of(columns, rows) <= max(width, 57)
    assert columns == (["id", "queue", "function", "why"] if width >= 80 else ["id", "function", "why"])


def test_a_wide_terminal_shows_all_of_a_long_text() -> None:
    assert fitting(PAGE, 200)[1][0][3] == LONG


def test_what_is_cut_says_so() -> None:
    assert fitting(PAGE, 120)[1][0][3].endswith("…")


def test_no_text_is_obeyed_by_a_terminal() -> None:
    ((name,),) = fitting(Page(("name",), [Row("n", {"name": "a\x1b[31mb\nc"})]), 80)[1]
    assert name == "a\\x1b[31mb\\nc"


@pytest.mark.parametrize(
    ("numbers", "width", "bars"),
    [
        ([], 10, ""),
        ([0, 0], 10, "  "),
        ([1, 8, 4], 10, "▁█▄"),
        ([5, 1, 8], 2, "▁█"),
        ([1e-9, 1], 10, "▁█"),
        ([1, 2], 0, ""),
    ],
)
def test_a_sparkline_has_a_letter_for_each_number(numbers: list[float], width: int, bars: str) -> None:
    assert sparkline(numbers, width) == bars
