"""The thermometer service, and the job that logs its readings."""

import math
import random
import sys
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC
from time import monotonic
from typing import Any, Final, Self, get_args

import msgspec

from notify import Bus, Program, Publisher
from notify.events import Event
from notify.process import printable_json
from notify.settings import positive
from notify.values import Against, ChangedBy
from workers.errors import WorkersError
from workers.jobs import current_bus, job
from workers.storage import MISSING, NAME, Store

__all__ = ["LOG_KEY", "QUEUE", "TOPIC", "Thermometer", "log_temperature", "numbers_in", "simulated"]

TOPIC: Final = "temperature"
QUEUE: Final = "temperature"
LOG_KEY: Final = "temperatures"
"""The key in the storage for the log of readings, a mapping from time to text."""
THRESHOLD: Final = 5.0
"""Degrees Celsius by which a reading has to differ before it is published."""
LONGEST_WAIT_S: Final = 0.5
"""The thermometer notices that it was killed after this many seconds at the latest."""


def simulated() -> Iterator[float]:
    """Yield random whole numbers of degrees from -50 to 49, without end."""
    while True:
        yield random.randint(-50, 49)


def numbers_in(lines: Iterable[str]) -> Iterator[float]:
    """Yield the numbers in lines of text, one per line, for example from a file, a serial port or a command. Other lines are skipped."""
    for line in lines:
        try:
            number = float(line)
        except ValueError:
            continue
        if math.isfinite(number):
            yield number


class Thermometer(Program):
    """The thermometer service: takes a reading at an interval, and publishes it on ``temperature`` if it has changed enough.

    Args:
        bus: the bus to serve on. A service in its directory must offer ``register_publisher``.
        source: the readings, in degrees Celsius; the service ends when they do. By default those of `simulated`.
        interval_s: seconds between two readings.
        threshold: a reading is published if it differs by more than this many degrees Celsius.
        threshold_against: the reading it is compared with: the last one that was ``published``, or the ``previous`` one, published or
            not. With ``published`` the first reading is published. With ``previous`` it is not, and a slow drift is never reported.
        ttl_s: seconds of silence after which the service is withdrawn; by default that of the settings.

    Raises:
        SettingsError: the interval is not above 0.
        WorkersError: ``threshold_against`` is neither of the two.
    """

    name = "thermometer"
    provides = frozenset({"temperature"})

    def __init__(
        self,
        bus: Bus,
        source: Iterable[float] | None = None,
        *,
        interval_s: float = 1.0,
        threshold: float = THRESHOLD,
        threshold_against: Against = "published",
        ttl_s: float | None = None,
    ) -> None:
        if threshold_against not in get_args(Against):
            raise WorkersError(f"threshold_against is {threshold_against!r}: choose 'published' or 'previous'")
        self._changed = ChangedBy(threshold, threshold_against)
        super().__init__(bus, ttl_s=ttl_s)
        self._source = iter(simulated() if source is None else source)
        self._interval_s = positive(interval_s, "interval_s")
        self._publisher: Publisher | None = None

    def read(self) -> bool:
        """Take one reading, and publish it if it has changed enough.

        Returns:
            ``False`` when the source has ended.
        """
        celsius = next(self._source, None)
        if celsius is None:
            return False
        if self._changed(celsius) is not None and self._publisher is not None:
            self._publisher({"celsius": celsius, "text": f"the temperature is {celsius:g}°C"})
        return True

    def run(self) -> None:
        """Take readings until the source ends, the service is killed, or `stop` is called."""
        next_s = monotonic()
        while self.waits(min(LONGEST_WAIT_S, max(0.0, next_s - monotonic()))):
            if monotonic() >= next_s:
                if not self.read():
                    return
                next_s = monotonic() + self._interval_s

    def stop(self) -> None:
        """End `run`. May be called in a signal handler or another thread."""
        self.stopping.set()

    def __enter__(self) -> Self:
        """Find the service that registers publishers, register this publisher with it, and register the thermometer.

        Raises:
            ServiceNotFoundError: no service offers ``register_publisher``.
        """
        self.bus.directory.find(provides="register_publisher")
        self._publisher = self.bus.register_publisher(TOPIC)
        return super().__enter__()


@job(QUEUE, needs=NAME)
def log_temperature(time: str, text: str, delay_s: float = 0.0) -> int:
    """Add a reading to the log in the storage, and print the log as one line of JSON.

    Args:
        time: the time of the reading, as ISO 8601; unique.
        text: the text of the reading.
        delay_s: seconds to wait first, to simulate a slow storage.

    Returns:
        The number of readings in the log; 0 if there is no log.
    """
    threading.Event().wait(delay_s)
    log: Any = Store(current_bus()).modify(LOG_KEY, lambda logged: {**logged, time: text})
    if log is MISSING:
        return 0
    sys.stdout.write(printable_json(msgspec.json.encode({LOG_KEY: log}).decode()) + "\n")
    sys.stdout.flush()
    return len(log)


def reading_of(event: Event) -> tuple[str, str] | None:
    """Return the time and the text of a reading; ``None`` if the event is not a reading."""
    contents = event.contents
    text = contents.get("text") if isinstance(contents, dict) else None
    return (event.time.astimezone(UTC).isoformat(), text) if isinstance(text, str) else None
