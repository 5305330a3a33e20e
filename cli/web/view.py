"""What a view is, and what it gets: the bus, and the filter in its URL."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlencode

from notify import Bus, NotifyError
from notify.history import HistoryReader
from workers.overview import JobFilter

__all__ = ["FilterError", "Look", "Query", "View", "job_filter_of"]

FILTER_NAMES: Final = ("queue", "status", "function", "needs", "text", "reason", "since", "until")
"""The parameters that select jobs."""
SEVERAL: Final = frozenset({"id"})
"""The parameters that may be given more than once."""
MOST_FIELDS: Final = 1_000

_SPAN: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([smhdw])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class FilterError(NotifyError):
    """A parameter of a URL cannot be used."""


class Query:
    """The parameters of a URL. Empty ones count as left out.

    Args:
        text: the query string.
    """

    def __init__(self, text: str) -> None:
        try:
            pairs = parse_qsl(text, max_num_fields=MOST_FIELDS)
        except ValueError as exc:
            raise FilterError(f"the URL has more than {MOST_FIELDS} parameters: mark fewer jobs") from exc
        self._pairs = [(name, value.strip()) for name, value in pairs if value.strip()]

    def __str__(self) -> str:
        """Return the query string again, in one order, so that equal ones are the same text."""
        return urlencode(sorted(self._pairs))

    def get(self, name: str, default: str = "") -> str:
        """Return the first value of a parameter."""
        return next((value for key, value in self._pairs if key == name), default)

    def all(self, name: str) -> list[str]:
        """Return all values of a parameter, each once."""
        return list(dict.fromkeys(value for key, value in self._pairs if key == name))

    def given(self, *names: str) -> dict[str, str]:
        """Return those of the parameters that are given."""
        return {name: self.get(name) for name in names if self.get(name)}

    def fields(self, *names: str) -> dict[str, str]:
        """Return the parameters; those that are left out are empty."""
        return {name: self.get(name) for name in names}

    def must_be_of(self, *names: str) -> None:
        """Refuse a parameter that is none of these, or is given twice: one that is misspelt would select everything, a second one nothing.

        Raises:
            FilterError: there is such a parameter.
        """
        unknown = next((name for name, _ in self._pairs if name not in names), None)
        if unknown is not None:
            known = f"give {', '.join(names)}" if names else "it takes none"
            raise FilterError(f"this address has no parameter {unknown[:60]!r}: {known}")
        counts = Counter(name for name, _ in self._pairs if name not in SEVERAL)
        twice = next((name for name, count in counts.items() if count > 1), None)
        if twice is not None:
            raise FilterError(f"this address has the parameter {twice!r} {counts[twice]} times: give it once")

    def moment(self, name: str) -> datetime | None:
        """Return the time that a parameter names: so long ago, or a time in ISO 8601, which is UTC if it has no time zone.

        Raises:
            FilterError: it is no time.
        """
        text = self.get(name)
        if not text:
            return None
        span = _SPAN.fullmatch(text)
        try:
            if span is not None:
                return datetime.now(UTC) - timedelta(seconds=float(span[1]) * _SECONDS[span[2]])
            found = datetime.fromisoformat(text)
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except (ValueError, OverflowError) as exc:
            raise FilterError(f"{name} is {text[:60]!r}: give 30s, 10m, 2h, 3d, or a time such as 2026-11-27T09:00") from exc


class Look(NamedTuple):
    """A look at a view: the bus, the history, the filter, and the parts of the path that name one thing."""

    bus: Bus
    history: HistoryReader
    query: Query
    names: Mapping[str, str]


class View(NamedTuple):
    """A view of the page.

    Args:
        name: its place in the menu.
        path: its path, as Starlette writes it.
        title: its title; ``title`` in what ``build`` returns replaces it.
        template: the name of its template.
        build: reads what the template shows.
        parameters: those that its URL may have.
    """

    name: str
    path: str
    title: str
    template: str
    build: Callable[[Look], Mapping[str, Any]]
    parameters: tuple[str, ...] = ()


def job_filter_of(query: Query) -> JobFilter:
    """Return the selection of jobs in a URL.

    Raises:
        FilterError: a time is none.
    """
    texts: dict[str, Any] = query.given("queue", "status", "function", "needs", "text", "reason")
    return JobFilter(**texts, since=query.moment("since"), until=query.moment("until"))
