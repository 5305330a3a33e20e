"""The tables of README.md beside this file: the one list of RQ's tests that fail or are not run."""

import re
from pathlib import Path

README = Path(__file__).with_name("README.md")


def deviations() -> dict[str, str]:
    """Return the tests that must fail, as ``test_worker.py::TestWorker::test_it``, with the reason."""
    return _table("Deviations")


def left_out() -> dict[str, str]:
    """Return the files, classes and tests that are not run, with the reason."""
    return _table("Not run")


def _table(heading: str) -> dict[str, str]:
    """Return the names in the first column of the table in a section, each with the last column."""
    _, _, section = README.read_text().partition(f"\n## {heading}\n")
    rows = [line.strip("| ").split(" | ") for line in section.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    return {name: row[-1] for row in rows for name in re.findall(r"`(test_\w+\.py[\w:]*)`", row[0])}
