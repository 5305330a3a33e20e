"""The schedule of a recurring job: the times of a cron line, or an interval."""

from datetime import UTC, datetime, tzinfo
from importlib import import_module
from typing import Any, Final, Literal, TypeAlias, get_args
from zoneinfo import ZoneInfo

import msgspec

from notify.server import LONGEST_TTL_S
from workers.errors import JobDefinitionError
from workers.jobs.requirements import Requirements

__all__ = ["CronJob", "Overlap", "Schedule", "check_overlap", "read_cron_job", "schedule_of"]

Overlap: TypeAlias = Literal["skip", "queue", "replace"]
"""What happens to a recurring job that is due while the one before it still waits: on its queue, held, or for a retry.

``skip``: it is not enqueued, one that waits is enough. ``queue``: it is enqueued as well. ``replace``: it is enqueued, and the one that
waits is cancelled. A job that runs already does not count.
"""

LEAST_EVERY_S: Final = 0.1
"""The shortest interval of a recurring job, in seconds."""
FIELDS: Final = (1, 5, 6)
"""How many fields a cron line may have: one such as ``@daily``, the five of cron, or a sixth for the seconds."""


class Schedule(msgspec.Struct, frozen=True):
    """The times at which a job is due, by the server's clock.

    Args:
        cron: a cron line, or empty.
        every_ms: if there is no cron line, the interval in ms; the times are its multiples since the epoch.
        timezone: the zone of the cron line, such as ``Europe/Berlin``; by default UTC.
    """

    cron: str = ""
    every_ms: int = 0
    timezone: str | msgspec.UnsetType = msgspec.UNSET  # left out of the JSON then, which older workers compare

    def next_after(self, now_ms: int) -> int | None:
        """Return the first time after ``now_ms``, both in ms since the epoch; ``None`` if there is none.

        A time that the zone leaves out, when clocks are put forward, is the end of the gap. When clocks are put back, an hour comes twice:
        a line that names its hours is due the first time only, and one for every hour both times.
        """
        if not self.cron:
            return (now_ms // self.every_ms + 1) * self.every_ms
        zone = _zone_of(self.timezone or "")
        times = _croniter()(self.cron, datetime.fromtimestamp(now_ms / 1000, zone))
        try:
            next_s: float = times.get_next(float)
            while self._names_its_hours and datetime.fromtimestamp(next_s, zone).fold:
                next_s = times.get_next(float)
        except ValueError:  # croniter's errors are ValueErrors, for example for the 30th of February
            return None
        return round(next_s * 1000)

    @property
    def _names_its_hours(self) -> bool:
        fields = self.cron.split()
        return self.cron != "@hourly" and not (len(fields) > 1 and fields[1].startswith("*"))

    def next_after_jump(self, due_ms: int, now_ms: int, *, back_ms: int) -> int:
        """Return when a job is due next, after the clock was put back; all in ms.

        An interval goes on at once. So does a cron line whose times are closer together than the jump. Any other keeps its time: the
        clock passes a time for the second time now, and the job has run then already.

        Args:
            due_ms: when it is due by the plan from before.
            now_ms: the clock now.
            back_ms: by how much it was put back.
        """
        next_ms = self.next_after(now_ms)
        if next_ms is None or next_ms >= due_ms:
            return due_ms
        following_ms = self.next_after(next_ms)
        is_close = not self.cron or (following_ms is not None and following_ms - next_ms <= back_ms)
        return next_ms if is_close else due_ms

    def __str__(self) -> str:
        return f"{self.cron} {self.timezone or ''}".rstrip() if self.cron else f"every {self.every_ms / 1000:g} s"


class CronJob(msgspec.Struct, frozen=True, omit_defaults=True):
    """A recurring job as workers announce it in Redis. The leader enqueues it without having loaded its function.

    In JSON the schedule is called ``rhythm`` and the requirements ``terms``.
    """

    queue: str
    schedule: Schedule = msgspec.field(name="rhythm")
    requirements: Requirements = msgspec.field(name="terms")
    overlap: Overlap = "skip"


_cron_decoder: Final = msgspec.json.Decoder(CronJob)


def read_cron_job(encoded: bytes) -> CronJob:
    """Return the recurring job that Redis holds as JSON.

    Raises:
        JobDefinitionError: another program wrote it: it is no such JSON, or its schedule is invalid.
    """
    try:
        found = _cron_decoder.decode(encoded)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise JobDefinitionError(f"the recurring job {encoded[:40]!r} cannot be read: {exc}") from exc
    schedule = found.schedule
    schedule_of(schedule.cron or None, None if schedule.cron else schedule.every_ms / 1000, schedule.timezone or None)  # checks it
    return found


def check_overlap(overlap: str | None, schedule: Schedule | None) -> Overlap:
    """Return the choice for overlapping jobs; ``skip`` for ``None``.

    Raises:
        JobDefinitionError: there is no such choice, or the job has no schedule.
    """
    if overlap is not None and schedule is None:
        raise JobDefinitionError("overlap is for a job with a schedule: give cron or every_s as well, or leave it out")
    for known in get_args(Overlap):
        if overlap in (None, known):
            checked: Overlap = known
            return checked
    raise JobDefinitionError(f"overlap is {overlap!r}: choose one of {', '.join(get_args(Overlap))}")


def _croniter() -> Any:
    """Return the class that reads cron lines. It is imported with the first line: most processes read none, and it takes a MiB."""
    return import_module("croniter").croniter


def _zone_of(name: str) -> tzinfo:
    return ZoneInfo(name) if name else UTC


def _check_timezone(timezone: object, cron: object) -> None:
    if cron is None:
        raise JobDefinitionError("timezone is for a job with a cron line: give cron as well, or leave it out")
    try:
        _zone_of(timezone if isinstance(timezone, str) and timezone else "?")
    except (ValueError, LookupError, OSError) as exc:  # a path, an unknown name, or no database of zones on this host
        raise JobDefinitionError(
            f"timezone is {timezone!r}, which this machine does not know: give a name such as 'Europe/Berlin'"
        ) from exc


def schedule_of(cron: str | None, every_s: float | None, timezone: str | None = None) -> Schedule | None:
    """Return the schedule for the arguments of `workers.job`; ``None`` if there is none.

    Raises:
        JobDefinitionError: both are given, or one is invalid.
    """
    if cron is not None and every_s is not None:
        raise JobDefinitionError("a job has one schedule: give cron or every_s, not both")
    if timezone is not None:
        _check_timezone(timezone, cron)
    if every_s is not None:
        if isinstance(every_s, bool) or not isinstance(every_s, int | float) or not LEAST_EVERY_S <= every_s <= LONGEST_TTL_S:
            raise JobDefinitionError(
                f"every_s is {every_s!r}: give the seconds between two runs, {LEAST_EVERY_S:g} at least and {LONGEST_TTL_S} at most"
            )
        return Schedule(every_ms=round(every_s * 1000))
    if cron is None:
        return None
    schedule = Schedule(cron=" ".join(cron.split()), timezone=timezone or msgspec.UNSET) if isinstance(cron, str) else Schedule()
    if len(schedule.cron.split()) not in FIELDS or not _croniter().is_valid(schedule.cron):
        raise JobDefinitionError(f"{cron!r} is no cron line: write five fields as in '*/5 * * * *', or six with the seconds last")
    if schedule.next_after(round(datetime.now(UTC).timestamp() * 1000)) is None:
        raise JobDefinitionError(f"the cron line {cron!r} names a time that never comes: correct its day or month")
    return schedule
