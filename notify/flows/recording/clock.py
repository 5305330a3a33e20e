"""The clock of a replay: when, by ``time.monotonic``, an event of a recording is due."""

import time
from typing import Final

from notify.errors import SettingsError

__all__ = ["ReplayClock", "checked_speed"]

MOST_SPEED: Final = 1_000_000.0


def checked_speed(speed: float | None) -> float | None:
    """Return the speed of a replay, or raise `SettingsError`."""
    if speed is not None and (isinstance(speed, bool) or not isinstance(speed, int | float) or not 0 < speed <= MOST_SPEED):
        raise SettingsError(
            f"the speed is {speed!r}: give a number above 0 and at most {MOST_SPEED:g}, or no pauses at all (speed=None, --speed max)"
        )
    return speed


class ReplayClock:
    """Runs ``speed`` times as fast as the clock of the recording, and can be stopped.

    Args:
        speed: how many seconds of the recording pass in a second; ``None`` if everything is due at once.
    """

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._begun_at = time.monotonic()
        self._at: int | None = None  # the place in the recording at that moment, in microseconds
        self._runs = True

    def wait_s(self, at: int) -> float:
        """Return the seconds until the place ``at`` of the recording; the clock begins with the first place that is asked for."""
        if self._speed is None:
            return 0.0
        if self._at is None:
            self.move(at)
            return 0.0
        return self._begun_at + (at - self._at) / (1_000_000 * self._speed) - time.monotonic()

    def stop(self, before: int | None = None) -> None:
        """Stop at the present place, which is not behind ``before``."""
        if self._runs and self._speed is not None and self._at is not None:
            at = self._at + round((time.monotonic() - self._begun_at) * 1_000_000 * self._speed)
            self._at = at if before is None else min(at, before)
        self._runs = False

    def go_on(self) -> None:
        """Run on from where the clock was stopped."""
        self._runs, self._begun_at = True, time.monotonic()

    def move(self, at: int) -> None:
        """Go to the place ``at``."""
        self._at, self._begun_at = at, time.monotonic()
