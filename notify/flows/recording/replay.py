"""`Replay`: gives the events of recordings again, at the pace at which they came, faster or slower; it can be paused."""

import threading
from collections import deque
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from notify.events import BATCH, Event, EventBus, Gap
from notify.flows.recording.clock import ReplayClock, checked_speed
from notify.flows.recording.line import Line, datetime_of, micros_of
from notify.flows.recording.outlet import BusOutlet, FunctionOutlet, Outlet
from notify.flows.recording.reader import Reader
from notify.keys import is_own_topic

__all__ = ["Replay", "ReplayProgress", "ReplayState"]

ReplayState: TypeAlias = Literal["ready", "running", "paused", "ended"]
"""A replay is ``ready`` before it is started and after it was stopped, and ``ended`` at the end of the recording."""


class ReplayProgress(msgspec.Struct, frozen=True):
    """How far a replay is.

    Args:
        state: what it does.
        events: how many events were given, since `Replay.start`; ``gaps``: how many gaps.
        refused: how many events the server refused, or are larger than it takes; each is logged.
        left_out: how many events were left out because Notify itself publishes on their topics.
        at: the place in time of the last event; ``None`` before the first one.
        rounds: how often the recording was played to its end.
    """

    state: ReplayState
    events: int
    gaps: int
    refused: int
    left_out: int
    at: datetime | None
    rounds: int


class Replay:
    """Replays recordings, in a thread. `start`, `pause`, `step` and `stop` say whether they did something.

    On a bus the events get new ids, and keep their topic, contents, time and source. Gaps cannot be published; they are counted.

    Args:
        reader: the recordings, with the window and the topics to replay.
        into: the bus to publish on, usually one of another namespace than that of live services; or a function that takes each `Event`
            and `Gap`.
        speed: how many seconds of the recording pass in a second; ``None`` for as fast as it can be read.
        loop: whether to begin anew at the end.
        pause_at: times, before the first event from which on the replay is paused; `start` lets it go on.
        own_topics: whether to publish also on topics of Notify itself: ``services``, ``cron``, ``job.*`` and ``*_status``. By default these
            events are left out, and counted: who reads them would believe them.

    Raises:
        SettingsError: the speed is not above 0.
    """

    def __init__(
        self,
        reader: Reader,
        into: EventBus | Callable[[Event | Gap], object],
        *,
        speed: float | None = 1.0,
        loop: bool = False,
        pause_at: Collection[datetime] = (),
        own_topics: bool = False,
    ) -> None:
        self._reader, self._into, self._speed, self._loop = reader, into, checked_speed(speed), loop
        self._pause_at = sorted(map(micros_of, pause_at))
        self._leaves_out = isinstance(into, EventBus) and not own_topics
        self._changed = threading.Condition()
        self._state: ReplayState = "ready"
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self._reset()

    @property
    def progress(self) -> ReplayProgress:
        """How far it is."""
        at = None if self._at is None else datetime_of(self._at)
        return ReplayProgress(self._state, self._events, self._gaps, self._refused, self._left_out, at, self._rounds)

    def start(self) -> bool:
        """Begin, go on after a pause, or begin anew after the end. Returns ``False`` if it runs.

        Raises:
            ClosedError: the bus is closed.
        """
        with self._changed:
            if self._state == "running":
                return False
            if self._state == "paused":
                self._clock.go_on()
                self._set("running")
                return True
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        self._error = None
        self._reset()
        self._stopping = threading.Event()
        if isinstance(self._into, EventBus):
            self._into.redis.check_open()
        outlet: Outlet = BusOutlet(self._into, self._stopping) if isinstance(self._into, EventBus) else FunctionOutlet(self._into)
        self._state = "running"
        self._thread = threading.Thread(target=self._run, args=(outlet, self._stopping), name="notify-replay", daemon=True)
        self._thread.start()
        return True

    def pause(self) -> bool:
        """Pause before the next event. Returns ``False`` if it does not run."""
        with self._changed:
            if self._state != "running":
                return False
            self._clock.stop()
            self._set("paused")
        return True

    def step(self) -> bool:
        """Give one event or gap, at once, while it is paused. Returns ``False`` if it is not paused."""
        with self._changed:
            if self._state != "paused":
                return False
            self._steps += 1
            self._changed.notify_all()
        return True

    def stop(self) -> bool:
        """End; the next `start` begins anew. Returns ``False`` if it neither runs nor is paused.

        Raises:
            NotifyError: the replay has ended by an error, such as `DamagedRecordingError`; so do errors of the function.
        """
        with self._changed:
            thread, self._thread = self._thread, None
            was_open = self._state in ("running", "paused")
            self._stopping.set()
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():  # the function of the replay may stop it
            thread.join()
        self._state = "ready"
        self._raise()
        return was_open

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end. Returns whether it has ended. Raises as `stop`."""
        with self._changed:
            has_ended = self._changed.wait_for(lambda: self._state in ("ended", "ready"), timeout_s)
        self._raise()
        return has_ended

    def run(self) -> ReplayProgress:
        """Start, wait for the end, and stop. Returns the numbers. Raises as `stop`."""
        self.start()
        try:
            self.wait()
            return self.progress
        finally:
            self.stop()

    def __enter__(self) -> "Replay":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Replay of {self._reader!r}>"

    def _reset(self) -> None:
        self._events = self._gaps = self._refused = self._left_out = self._rounds = self._steps = 0
        self._at: int | None = None
        self._batch: list[Line] = []
        self._is_sending = False
        self._clock = ReplayClock(self._speed)

    def _set(self, state: ReplayState) -> None:
        """Change the state; called with the lock held."""
        self._state = state
        self._changed.notify_all()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self, outlet: Outlet, stopping: threading.Event) -> None:
        try:
            while self._play(outlet, stopping):
                self._rounds += 1
                if not self._loop:
                    break
        except Exception as exc:  # of the function, or of a file; `wait` and `stop` raise it
            self._error = exc
        finally:
            outlet.close()
            with self._changed:
                self._set("ended")

    def _play(self, outlet: Outlet, stopping: threading.Event) -> bool:
        """Give all lines once. Returns ``False`` if it was stopped, or there was none."""
        with self._changed:
            self._clock = ReplayClock(self._speed)
            self._pauses = deque(self._pause_at)
        has_any = False
        try:
            for line in self._reader.lines():
                if self._leaves_out and is_own_topic(line.topic):
                    self._left_out += 1
                    continue
                if not self._await(line, outlet, stopping):
                    return False
                has_any = True
                self._batch.append(line)
                if len(self._batch) >= BATCH:
                    self._send(outlet)
        finally:
            self._send(outlet, waits=True)  # also what is whole before a part that is damaged
        return has_any and not stopping.is_set()

    def _await(self, line: Line, outlet: Outlet, stopping: threading.Event) -> bool:
        """Wait until a line is to be given; before a wait, send those that are due. Returns ``False`` if the replay is stopped."""
        if self._speed is None and not self._pauses and self._state == "running" and not stopping.is_set():
            return True  # as fast as it reads: without the lock
        while True:
            with self._changed:
                while True:
                    if stopping.is_set():
                        return False
                    if self._pauses and line.at >= self._pauses[0]:
                        while self._pauses and line.at >= self._pauses[0]:
                            self._pauses.popleft()
                        self._clock.stop(line.at)
                        self._set("paused")
                    if self._state == "paused":
                        if self._steps:
                            self._steps -= 1
                            self._clock.move(line.at)
                            return True
                        wait_s = None
                    else:
                        wait_s = self._clock.wait_s(line.at)
                        if wait_s <= 0:
                            return True
                    if self._batch or self._is_sending:
                        break  # to send it, or wait for it, without the lock
                    self._changed.wait(wait_s)
            self._send(outlet, waits=True)

    def _send(self, outlet: Outlet, *, waits: bool = False) -> None:
        """Give the lines that are due; with ``waits`` return when they are given, and not before."""
        batch, self._batch = self._batch, []
        self._is_sending = not waits
        if batch:
            self._count(outlet.send(batch))
            self._gaps += sum(line.gap is not None for line in batch)
            self._at = batch[-1].at
        if waits:
            self._count(outlet.flush())

    def _count(self, numbers: tuple[int, int]) -> None:
        given, refused = numbers
        self._events += given
        self._refused += refused
