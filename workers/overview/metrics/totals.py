"""Turns the counts of minutes into counters that only grow, as Prometheus wants them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from notify.history import OTHER, History, HistoryReader, Moment, Words
from notify.server import Client

__all__ = ["MOST_NAMES", "Totals"]

MOST_NAMES: Final = 1_000
"""Counts that have names of their own, for each kind; further ones are counted under ``(other)``."""
OPEN: Final = 3
"""Minutes that may still change."""
MOST_S: Final = 8 * 3600.0
"""The longest range that is read at once: a counter that nobody asked for longer has lost the rest."""


class Totals:
    """Counters since this object was made, by the fields of the history. Call it from one thread at a time.

    Args:
        client: the server and the namespace.
    """

    def __init__(self, client: Client) -> None:
        self._reader = HistoryReader(client)
        self._seen: dict[datetime, Mapping[Words, int]] = {}
        self._sums: dict[Words, int] = {}
        self._names: dict[str, set[Words]] = {}
        self._began: datetime | None = None

    def read(self) -> History:
        """Return all counts since the beginning, as a history of one moment.

        Raises:
            ServerError: Redis did not answer, or refused.
        """
        history = self._reader.read(since_s=OPEN * 60.0)
        missed_s = self._missed_s(history)
        if missed_s > 0:
            # A minute more, for one may have begun since; what is older is left out.
            history = self._reader.read(since_s=min(MOST_S, missed_s + (OPEN + 1) * 60.0))
        if self._began is None:
            self._began = history.moments[-1].at
            self._seen = {moment.at: moment.counts for moment in history.moments}  # what was before does not count
        for moment in history.moments:
            self._add(moment)
        for at in sorted(self._seen)[:-OPEN]:
            del self._seen[at]
        return History("minute", (Moment(self._began, dict(self._sums)),))

    def _missed_s(self, history: History) -> float:
        """Return the seconds from the first minute that was open at the last look to a history; both are minutes of the server's clock."""
        first = min(self._seen, default=None)
        return 0.0 if first is None else (history.moments[0].at - first).total_seconds()

    def _add(self, moment: Moment) -> None:
        if self._seen and moment.at not in self._seen and moment.at < min(self._seen):
            return  # it was counted, and forgotten since
        before = self._seen.get(moment.at, {})
        for words, number in moment.counts.items():
            more = number - before.get(words, 0)
            if more > 0:
                name = self._bounded(words)
                self._sums[name] = self._sums.get(name, 0) + more
        self._seen[moment.at] = moment.counts

    def _bounded(self, words: Words) -> Words:
        """Return the words of a count, with ``(other)`` for the names if there are too many of the kind."""
        kind, names = words[0], _names_of(words)
        known = self._names.setdefault(kind, set())
        if names in known or len(known) < MOST_NAMES:
            known.add(names)
            return words
        return words[:2] + (OTHER,) * len(names) + words[2 + len(names) :]


def _names_of(words: Words) -> Words:
    """Return the names in a count: of a job two (queue, function), of a request two (service, method), else one."""
    return words[2:4] if words[0] in ("job", "request") else words[2:3]
