"""The reason of a failure names the error, whatever its message, notes, causes or group look like; the text is kept in bounds."""

import traceback
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.jobs import MAX_REASON_CHARS, MAX_TRACEBACK_CHARS, failure, kept_traceback, reason_in

LONG = 10_000_000


def text_of(error: BaseException, *, cause: BaseException | None = None, is_context: bool = False) -> str:
    """The traceback of an error that was raised; from a cause, or while that was handled."""
    try:
        try:
            raise cause or KeyError("never told")
        except BaseException as exc:
            if is_context:
                raise error  # noqa: B904  # this is the point
            raise error from (None if cause is None else exc)
    except type(error) as exc:
        return "".join(traceback.format_exception(exc))


def noted(error: BaseException, *notes: str) -> BaseException:
    for note in notes:
        error.add_note(note)
    return error


def nested() -> BaseException:
    return ExceptionGroup("outer\nmore", [ValueError("a\nb"), ExceptionGroup("inner", [KeyError("k"), OSError(2, "gone")])])


def syntax_error() -> BaseException:
    try:
        compile("a = (\n1 +* 2)", "some.py", "exec")
    except SyntaxError as exc:
        return exc
    raise AssertionError


class SilentError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


ERRORS: dict[str, tuple[Callable[[], BaseException], str]] = {
    "one line": (lambda: ValueError("no good"), "ValueError: no good"),
    "several lines": (lambda: ValueError("no good\nsecond\n\nlast"), "ValueError: no good"),
    "lines of Windows": (lambda: ValueError("no good\r\nsecond"), "ValueError: no good"),
    "no message": (lambda: ValueError(), "ValueError"),
    "an empty first line": (lambda: ValueError("\n\n  no good\nlast"), "ValueError: no good"),
    "only empty lines": (lambda: ValueError("\n \n"), "ValueError"),
    "notes": (lambda: noted(ValueError("no good"), "a note\nof two lines", "another: note"), "ValueError: no good"),
    "no message and a note": (lambda: noted(ValueError(), "Other: note"), "ValueError"),
    "a group": (lambda: ExceptionGroup("all bad", [ValueError("a"), KeyError("b")]), "ExceptionGroup: all bad (2 sub-exceptions)"),
    "a group in a group": (nested, "ExceptionGroup: outer"),
    "a group with notes": (lambda: noted(nested(), "Other: note"), "ExceptionGroup: outer"),
    "bad syntax": (syntax_error, "SyntaxError: invalid syntax"),
    "a module's own type": (lambda: SilentError(), f"{__name__}.SilentError: <exception str() failed>"),
    "a message like a frame": (lambda: ValueError('no good\n  File "a.py", line 1, in f\n    x\nForged: x'), "ValueError: no good"),
    "a message like a traceback": (lambda: ValueError(f"no good\n{text_of(KeyError('quoted'))}"), "ValueError: no good"),
    "a surrogate": (lambda: ValueError("no \ud800 good"), "ValueError: no \\ud800 good"),
    "a long line": (lambda: ValueError("x" * LONG), f"ValueError: {'x' * (MAX_REASON_CHARS - 15)}..."),
    "many lines": (lambda: ValueError("no good\n" * (LONG // 8)), "ValueError: no good"),
}
CAUSES: dict[str, Callable[[], BaseException] | None] = {
    "none": None,
    "a plain one": lambda: OSError("the cause\nwith two lines"),
    "a group": lambda: ExceptionGroup("causes", [OSError("a"), OSError("b\nc")]),
    "a long one": lambda: OSError("y\n" * 100_000),
}


@pytest.mark.parametrize("is_context", [False, True])
@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
@pytest.mark.parametrize(("make", "reason"), ERRORS.values(), ids=ERRORS)
def test_the_reason_is_type_and_first_line_of_the_last_error(
    make: Callable[[], BaseException], reason: str, cause: Callable[[], BaseException] | None, is_context: bool
) -> None:
    text = text_of(make(), cause=None if cause is None else cause(), is_context=is_context)
    assert reason_in(text) == reason
    kept = kept_traceback(text)
    assert len(kept) <= MAX_TRACEBACK_CHARS + 200
    assert reason_in(kept) == reason
    if len(text) <= MAX_TRACEBACK_CHARS:
        assert kept == text.encode(errors="backslashreplace").decode()


@given(
    st.text(st.characters(codec=None), max_size=300).map(lambda text: text * 40),
    st.lists(st.text(), max_size=3),
    st.sampled_from([*CAUSES.values()]),
    st.booleans(),
    st.booleans(),
)
def test_whatever_the_message_the_reason_has_the_type_and_survives_a_cut(
    message: str, notes: list[str], cause: Callable[[], BaseException] | None, is_group: bool, is_context: bool
) -> None:
    error = noted(ExceptionGroup(message, [ValueError("a")]) if is_group else LookupError(message), *notes)
    text = text_of(error, cause=None if cause is None else cause(), is_context=is_context)
    reason = reason_in(text)
    assert reason.startswith(type(error).__name__)
    assert len(reason) <= MAX_REASON_CHARS
    assert "\n" not in reason
    assert reason_in(kept_traceback(text, max_chars=8_000)) == reason
    assert len(kept_traceback(text, max_chars=8_000)) <= 8_200


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", ""), (" \n", ""), ("the worker died", "the worker died"), ("first\nlast\n", "first"), ("a\ud800", "a\\ud800")],
)
def test_of_a_text_that_is_no_traceback_the_first_line_counts(text: str, reason: str) -> None:
    assert reason_in(text) == reason


def test_of_a_traceback_without_its_beginning_the_last_frame_counts() -> None:
    assert reason_in(text_of(ValueError("no good\nlast")).split("\n", 1)[1]) == "ValueError: no good"


def test_a_message_that_quotes_a_timeout_is_none() -> None:
    assert failure("ValueError: JobTimeoutException").why.rule == "raised"  # type: ignore[union-attr]  # a failure has a cause
    assert failure("rq.timeouts.JobTimeoutException: Task exceeded").why.rule == "timeout"  # type: ignore[union-attr]  # as above
