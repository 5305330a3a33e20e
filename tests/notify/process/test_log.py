"""The log on stderr: what a record quotes is escaped, forges no record, and is kept in bounds."""

import logging
import sys

import pytest

from notify.process import MAX_LOGGED_CHARS, SafeFormatter, printable, printable_json

EVIL = "\x1b[2Ja\nforged\tb\x9b\u202e\x7f"
ESCAPED = r"\x1b[2Ja\nforged\tb\x9b\u202e\x7f"


def logged(name: str, message: str, *, error: BaseException | None = None) -> str:
    exc_info = None if error is None else (type(error), error, None)
    record = logging.LogRecord(name, logging.WARNING, __file__, 1, "%s", (message,), exc_info)
    text = SafeFormatter("%(levelname)s %(name)s %(message)s").format(record)
    assert (record.name, record.getMessage()) == (name, message)  # other handlers get the record as it is
    return text


def test_a_message_of_the_packages_is_one_line() -> None:
    assert logged("workers.jobs", EVIL) == f"WARNING workers.jobs {ESCAPED}"


@pytest.mark.parametrize("name", ["rq.worker", "yard", "notifying"])
def test_further_lines_of_other_messages_are_indented(name: str) -> None:
    first, second = logged(name, EVIL).split("\n")
    assert first == rf"WARNING {name} \x1b[2Ja"
    assert second == r"    forged\tb\x9b\u202e\x7f"


def test_the_lines_of_a_traceback_are_indented_and_the_name_of_a_logger_is_escaped() -> None:
    lines = logged(EVIL, "x", error=ValueError(EVIL)).split("\n")
    assert lines[0] == f"WARNING {ESCAPED} x"
    assert all(line.startswith("    ") and line.isprintable() for line in lines[1:])
    assert len(lines) == 3


@pytest.mark.parametrize("error", [None, ValueError("x\n" * 5_000_000)])
def test_a_long_record_is_cut_in_the_middle(error: BaseException | None) -> None:
    text = logged("yard", "begin " + "x" * 10_000_000 + " end", error=error)
    assert text.startswith("WARNING yard begin ")
    assert "characters left out ...]" in text
    assert len(text) < MAX_LOGGED_CHARS * 2


@pytest.mark.parametrize(
    "code", [*range(32), *range(127, 161), 0x200B, 0x2028, 0x2029, 0x202E, 0x2066, 0xD800, 0xFEFF, 0xE0041, sys.maxunicode]
)
def test_what_a_terminal_obeys_or_hides_is_escaped(code: int) -> None:
    assert printable(f"a{chr(code)}b").isprintable()
    assert printable_json(f'"{chr(code)}"').isprintable()
