"""What README.md beside this file says of RQ's tests. It is the one list: the run takes it from there."""

import re
from pathlib import Path

README = Path(__file__).with_name("README.md")


def deviations() -> dict[str, str]:
    """The tests that fail, as ``test_worker.py::TestWorker::test_it``, and why."""
    return _table("Deviations")


def left_out() -> dict[str, str]:
    """The files, classes and tests that are not run, and why."""
    return _table("Not run")


def _table(heading: str) -> dict[str, str]:
    """What the first column of a section's table names, with the last column."""
    _, _, section = README.read_text().partition(f"\n## {heading}\n")
    rows = [line.strip("| ").split(" | ") for line in section.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    return {name: row[-1] for row in rows for name in re.findall(r"`(test_\w+\.py[\w:]*)`", row[0])}
