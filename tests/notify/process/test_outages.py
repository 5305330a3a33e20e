"""The log of a process about an outage of the server: one line at each end, however many parts wait."""

import io
import logging
import time
from collections.abc import Iterator

import pytest

from notify.errors import ServerUnreachableError
from notify.process import SafeFormatter, outages
from notify.process.uncaught import SafeHandler
from notify.server import Backoff

pytestmark = pytest.mark.any_server

AWAY = ServerUnreachableError("no connection to redis://localhost:6379/0")


class Written(io.StringIO):
    """What a process with some parts has logged."""

    def __init__(self, *names: str, log: logging.Logger) -> None:
        super().__init__()
        self.parts = [Backoff(log, name) for name in names]

    @property
    def lines(self) -> list[str]:
        return self.getvalue().splitlines()


@pytest.fixture(params=[False, True], ids=["as it is", "all of it"])
def written(request: pytest.FixtureRequest) -> Iterator[Written]:
    """The log of a process with three parts; as it is by default, or with all that the parts say."""
    log = logging.Logger("workers.inner")
    written = Written("the sweep", "the lease of worker w", "the loss watcher", log=log)
    handler = SafeHandler(written, has_all=request.param)
    handler.setFormatter(SafeFormatter("%(name)s %(message)s"))
    log.addHandler(handler)
    return written


as_it_is = pytest.mark.parametrize("written", [False], indirect=True)
all_of_it = pytest.mark.parametrize("written", [True], indirect=True)


def go_through(written: Written) -> None:
    for part in written.parts:
        part.failed(AWAY)
    for part in written.parts:
        part.over()


@as_it_is
def test_an_outage_is_two_lines_in_the_words_of_the_user(written: Written) -> None:
    go_through(written)
    away, back = written.lines
    assert away == f"notify the server is away, and all that needs it waits: {AWAY}"
    assert back.startswith("notify the server is back after 0.")


@all_of_it
def test_at_debug_each_part_speaks_for_itself(written: Written) -> None:
    """The twin: so it was in every log."""
    go_through(written)
    assert len(written.lines) == 6
    assert written.lines[1].startswith("workers.inner the lease of worker w waits for the server")


@as_it_is
def test_each_outage_has_its_lines(written: Written) -> None:
    for _ in range(3):
        go_through(written)
    assert len(written.lines) == 6


@as_it_is
def test_a_part_that_notices_an_outage_when_it_is_over_says_nothing(written: Written) -> None:
    first, second, late = written.parts
    for part in (first, second):
        part.failed(AWAY)
    first.over()
    late.failed(AWAY)
    second.over()
    late.over()
    assert len(written.lines) == 2
    first.failed(AWAY)
    assert len(written.lines) == 3


@as_it_is
def test_much_later_it_tells_of_an_outage_of_its_own(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _, other = written.parts
    first.failed(AWAY)
    first.over()
    now = time.monotonic()
    monkeypatch.setattr(outages.time, "monotonic", lambda: now + outages.LATE_S + 1)
    other.failed(AWAY)
    assert len(written.lines) == 3


@as_it_is
def test_a_refusal_is_told_by_each_part(written: Written) -> None:
    for part in written.parts:
        part.failed("a key holds another type", level=logging.ERROR)
        part.over()
    assert len(written.lines) == 6
    assert all(line.startswith("workers.inner ") for line in written.lines)
