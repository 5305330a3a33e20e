"""The log as JSON: one object in each line, whatever is logged."""

import json
import logging
import sys
from typing import Any

import pytest

from notify.process import JsonFormatter
from notify.process.json_log import MAX_CHARS


def formatted(message: str, *args: object, error: BaseException | None = None, **extra: object) -> dict[str, Any]:
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    record = logging.getLogger("yard").makeRecord("yard", logging.INFO, "f.py", 1, message, args, exc_info, extra=extra)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert line.isprintable()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_record_is_one_object_with_the_fields_of_extra() -> None:
    found = formatted("%d of %d", 1, 2, job="a1", seconds=0.5, tags=["x"])
    assert found.pop("time").endswith("Z")
    assert found == {"level": "INFO", "logger": "yard", "message": "1 of 2", "job": "a1", "seconds": 0.5, "tags": ["x"]}


def test_an_error_is_a_field_with_type_message_and_traceback() -> None:
    try:
        raise LookupError("nothing\nthere")
    except LookupError as exc:
        found = formatted("it failed", error=exc)
    assert (found["error"]["type"], found["error"]["message"]) == ("LookupError", "nothing\nthere")
    assert "test_json_log.py" in found["error"]["traceback"]


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Count(int):
    """As numpy's numbers: JSON knows their values, and not their class."""


class Share(float):
    pass


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *[(object, "<class 'object'>"), (Odd(), "(RuntimeError in its repr)"), ("\ud800", "\\ud800"), ("a\nb", "a\nb")],
        *[(float("nan"), "nan"), (float("-inf"), "-inf"), (Share("inf"), "inf"), (Share(0.5), 0.5), (Count(3), 3), (1 << 70, 1 << 70)],
    ],
)
def test_a_value_that_json_cannot_hold_is_a_number_or_its_repr(value: object, shown: object) -> None:
    assert formatted("x", odd=value)["odd"] == shown


def test_extra_cannot_replace_the_fields_of_the_record() -> None:
    assert formatted("x", level="forged", time="forged", logger="forged")["level"] == "INFO"


def test_a_control_character_is_escaped_and_a_long_text_shortened() -> None:
    found = formatted("\x1b[31m" + "x" * (MAX_CHARS + 10))
    assert found["message"].startswith("\x1b[31m")
    assert "15 characters left out" in found["message"]
    assert sys.getsizeof(found["message"]) < MAX_CHARS + 1000
