"""The reason of a failure names the error, whatever its message looks like."""

import traceback

import pytest

from workers.worker.logs import reason_in


@pytest.mark.parametrize("message", ["no good", "no good\nsecond line", "no good\n\n"])
def test_the_reason_is_the_type_and_the_first_line_of_the_message(message: str) -> None:
    try:
        raise ValueError(message) from KeyError("cause")
    except ValueError:
        assert reason_in(traceback.format_exc()) == "ValueError: no good"


@pytest.mark.parametrize(("text", "reason"), [("", ""), ("the worker died", "the worker died"), ("first\nlast\n", "last")])
def test_of_a_text_that_is_no_traceback_the_last_line_counts(text: str, reason: str) -> None:
    assert reason_in(text) == reason
