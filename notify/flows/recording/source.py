"""`replay_from`: a source of a flow that gives the events of recordings again, at the pace at which they came."""

import os
import threading
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from typing import Any, Final

from notify.errors import ClosedError, SettingsError
from notify.events import BATCH
from notify.flows.items import Items
from notify.flows.protocol import Context, Source
from notify.flows.recording.clock import ReplayClock, checked_speed
from notify.flows.recording.reader import OnDamage, Reader

__all__ = ["replay_from"]

LOOK_S: Final = 0.25
"""The longest wait without a look at whether the flow holds its sources."""


def replay_from(
    *folders: str | os.PathLike[str],
    speed: float | None = 1.0,
    loop: bool = False,
    since: datetime | None = None,
    until: datetime | None = None,
    topics: str | Collection[str] | None = None,
    on_damage: OnDamage = "raise",
) -> Source:
    """Return a source of the events and gaps of recordings, each event as it was published. It ends with the recordings.

    With ``publish_to(bus)`` behind it they are published on their topics again, those of Notify itself among them, such as ``services``.

    Args:
        folders: the folders of one recording or several, which are merged in the order of time. They are opened when the flow starts.
        speed: how many seconds of the recording pass in a second; ``None`` for as fast as the flow takes them.
        loop: whether to begin anew at the end.
        since, until, topics, on_damage: as for `Reader`.

    Raises:
        SettingsError: the speed cannot be used, or there is no folder.

    ``Flow.start`` raises the errors of `Reader`.
    """
    if not folders:
        raise SettingsError("a replay needs a recording: give its folder")

    def opened() -> Reader:
        return Reader(*folders, since=since, until=until, topics=topics, on_damage=on_damage)

    return ReplayFrom(opened, checked_speed(speed), loop)


class ReplayFrom(Source):
    """The source that `replay_from` returns, which has the description."""

    def __init__(self, opened: Callable[[], Reader], speed: float | None, loop: bool) -> None:
        self._opened, self._speed, self._loop = opened, speed, loop
        self._reader: Reader | None = None
        self._stopping = threading.Event()

    def open(self, context: Context) -> None:
        self._reader = self._opened()

    def __iter__(self) -> Iterator[Any]:
        if self._reader is None:
            raise ClosedError("the source is not open: run it in a flow")
        rounds = 0
        while not self._stopping.is_set() and (not rounds or self._loop):
            rounds += 1
            has_any = False
            for item in self._play(self._reader):
                has_any = True
                yield item
            if not has_any:
                return  # an empty recording has no round

    def stop(self) -> None:
        self._stopping.set()

    def _play(self, reader: Reader) -> Iterator[Items | None]:
        """Yield all events once, those together that are due at the same time."""
        clock, due = ReplayClock(self._speed), list[Any]()
        for line in reader.lines():
            while (wait_s := clock.wait_s(line.at)) > 0 and not self._stopping.is_set():
                if due:
                    yield Items(due)
                    due = []
                    continue
                self._stopping.wait(min(wait_s, LOOK_S))
                if wait_s > LOOK_S:
                    yield None
            if self._stopping.is_set():
                break
            due.append(line.item)
            if len(due) >= BATCH:
                yield Items(due)
                due = []
        if due:
            yield Items(due)
