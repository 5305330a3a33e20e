"""Reads a history: the counts of a range of minutes in one round trip after the one for the clock, of hours in two."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

import msgspec
import redis

from notify.history.fields import Words, parts_of, words_of
from notify.server import Client, whole
from notify.settings import positive

__all__ = ["History", "HistoryReader", "Moment", "Step", "read_history"]

Step: TypeAlias = Literal["minute", "hour"]

SECONDS: Final[dict[str, int]] = {"minute": 60, "hour": 3600}
KEPT: Final = 1_500
"""Minutes that a reader keeps: a day."""
MOST_S: Final = 31 * 86_400.0
"""The longest range, in seconds."""
SETTLED: Final = 2
"""Minutes after which the counts of a minute do not change any more."""


class Moment(msgspec.Struct, frozen=True):
    """The counts of one minute, or of one hour.

    Args:
        at: when it began, by the server's clock.
        counts: the numbers by their fields.
    """

    at: datetime
    counts: Mapping[Words, int]


class History(msgspec.Struct, frozen=True):
    """The counts of a range, one `Moment` for each minute or hour, also where nothing was counted.

    Args:
        step: ``minute`` or ``hour``.
        moments: from the oldest to the present one, which goes on.
    """

    step: Step
    moments: tuple[Moment, ...]

    @property
    def total(self) -> Moment:
        """All moments together, with the beginning of the first."""
        return Moment(self.moments[0].at, sum_of(moment.counts for moment in self.moments))


class HistoryReader:
    """Reads histories again and again, as a page does. The counts of minutes that are over are kept, and not read again.

    Threads may share a reader.

    Args:
        connection: ``bus.redis``; any other ``redis.Redis`` stands for the default namespace.
    """

    def __init__(self, connection: redis.Redis) -> None:
        self._client = Client.of(connection)
        self._kept: dict[int, Mapping[Words, int]] = {}
        self._until = 0
        self._reading = threading.Lock()

    def read(self, *, since_s: float = 3600.0, step: Step = "minute") -> History:
        """Read the counts of the last ``since_s`` seconds, up to now.

        Minutes are kept for 8 hours and hours for 72, see ``history_minutes_s`` and ``history_hours_s`` of the settings; what is older
        has no counts.

        Raises:
            SettingsError: ``since_s`` is no positive number, or is above a month.
            ServerError: Redis did not answer, or refused.
        """
        positive(since_s, "since_s", at_most=MOST_S)
        keys, seconds = self._client.own_keys, SECONDS[step]
        with self._client.translating("reading the history"), self._client.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.get(keys.history_open)
            clock, opened = pipe.execute(raise_on_error=False)
            if isinstance(clock, Exception):
                raise clock
        now = int(clock[0])
        wanted = range(int(now - since_s) // seconds, now // seconds + 1)
        if step == "minute":
            read = self._minutes(wanted, now // 60)
        else:
            read = self._hours(wanted, whole(opened if isinstance(opened, bytes) else None, wanted[-1]), now // 60)
        return History(step, tuple(Moment(datetime.fromtimestamp(at * seconds, UTC), read.get(at, {})) for at in wanted))

    def _minutes(self, wanted: range, present: int) -> dict[int, Mapping[Words, int]]:
        with self._reading:
            if present < self._until:
                self._kept.clear()  # the clock was put back: minutes that were over go on
            self._until = present
            missing = [minute for minute in wanted if minute not in self._kept]
            found: dict[int, Mapping[Words, int]] = dict(zip(missing, self._read("m", missing), strict=True))
            known = {minute: self._kept[minute] for minute in wanted if minute in self._kept} | found
            self._kept.update((minute, counts) for minute, counts in found.items() if minute < present - SETTLED)
            for minute in sorted(self._kept)[: len(self._kept) - KEPT]:
                del self._kept[minute]
            return known

    def _hours(self, wanted: range, opened: int, present: int) -> dict[int, Mapping[Words, int]]:
        """Return the counts of hours. The minutes of the open hour, the last one in which something was counted, are not summed up yet."""
        sums = dict(zip(wanted, self._read("h", wanted), strict=True))
        if opened in wanted:
            minutes = self._minutes(range(opened * 60, max(opened * 60 + 1, min(opened * 60 + 60, present + 1))), present)
            sums[opened] = {**sums[opened], **sum_of(minutes.values())}
        return {**sums}

    def _read(self, step: str, wanted: Iterable[int]) -> Iterator[dict[Words, int]]:
        keys = [self._client.own_keys.history(step, at) for at in wanted]
        with self._client.translating("reading the history"), self._client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.hgetall(key)
            for answer in pipe.execute(raise_on_error=False) if keys else ():
                yield _counts(answer)


def read_history(connection: redis.Redis, *, since_s: float = 3600.0, step: Step = "minute") -> History:
    """Read a history once. Arguments and errors as for `HistoryReader.read`."""
    return HistoryReader(connection).read(since_s=since_s, step=step)


def sum_of(all_counts: Iterable[Mapping[Words, int]]) -> dict[Words, int]:
    """Return the sums of counts by field."""
    sums: dict[Words, int] = {}
    for counts in all_counts:
        for words, number in counts.items():
            sums[words] = sums.get(words, 0) + number
    return sums


def _counts(answer: Any) -> dict[Words, int]:
    """Return the counts that a hash holds; none if another program uses the key for something else."""
    if isinstance(answer, redis.ResponseError):
        return {}
    if isinstance(answer, Exception):
        raise answer
    counts: dict[Words, int] = {}
    for field, value in answer.items():
        number = whole(value, 0)
        for words in parts_of(words_of(field)) if number > 0 else ():
            counts[words] = counts.get(words, 0) + number
    return counts
