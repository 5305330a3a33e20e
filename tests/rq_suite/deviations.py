"""The tables of README.md beside this file: the one list of RQ's tests that fail or are not run, for each major version of RQ."""

import re
from pathlib import Path

README = Path(__file__).with_name("README.md")


def deviations(major: int) -> dict[str, str]:
    """Return the tests that must fail, as ``test_worker.py::TestWorker::test_it``, with the reason."""
    return _tables("Deviations", major)


def left_out(major: int) -> dict[str, str]:
    """Return the files, classes and tests that are not run, with the reason."""
    return _tables("Not run", major)


def _tables(heading: str, major: int) -> dict[str, str]:
    """Return the names in the tables of a section: those for all versions, and those for one."""
    return {**_table(heading), **_table(f"{heading}: RQ {major} only")}


def _table(heading: str) -> dict[str, str]:
    """Return the names in the first column of the table in a section, each with the last column."""
    _, _, section = README.read_text().partition(f"\n## {heading}\n")
    rows = [line.strip("| ").split(" | ") for line in section.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    return {name: row[-1] for row in rows for name in re.findall(r"`(test_\w+\.py[\w:]*)`", row[0])}
