"""Runs a source: reads its iterator and hands the items on, until it ends or the flow stops."""

import asyncio
import inspect
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Generator, Iterable, Iterator
from typing import Any, Final

from notify.events import Gap
from notify.flows.engine.outlets import Outlets
from notify.flows.engine.station import Counters, CutShort, Station
from notify.flows.items import Mark
from notify.flows.protocol import Source

__all__ = ["SourceRunner"]

READY: Final[tuple[Iterable[Any], ...]] = ([], (), range(0), {}, set(), "", b"", {}.values(), {}.items())
NEVER_WAIT: Final = frozenset(type(iter(made)) for made in READY)
"""Iterators over what is there already: their items are not waited for."""
TURN: Final = 64
"""A source in the event loop lets others run after so many items."""

log = logging.getLogger(__name__)


class SourceRunner:
    """Runs one source in its thread or task.

    When the flow stops, a source with a hook `stop` is read to its end. Another one is not read any more; if it waits for its next item
    and cannot be interrupted, it is given up: the stages behind it are told that it has ended, and an item that it gives later is dropped
    and counted.

    Args:
        station: the place of the node.
        copies: the name of each node behind the source → how many copies of a mark it gets.
        ends: how many of these nodes hand on nothing.
    """

    def __init__(self, station: Station, *, copies: dict[str, int], ends: int) -> None:
        self.station = station
        self.outlets = Outlets(station)
        self._copies, self._ends = copies, ends
        self._source = station.node.work if isinstance(station.node.work, Source) else None
        self._ends_itself = self._source is not None and type(self._source).stop is not Source.stop
        self._gate = threading.Lock()
        self._is_reading = self._is_over = False
        station.offer = self._offer

    @property
    def counters(self) -> Counters:
        """The counters of the source."""
        return self.station.counters(0)

    def stop(self) -> None:
        """Have the source end."""
        if self._source is not None:
            try:
                self._source.stop()
            except Exception:
                log.exception("the source %r could not be stopped", self.station.name)
        self.station.parker.set()

    def give_up(self) -> bool:
        """End a source without a hook to stop it that waits for its next item. Returns ``False`` if it does not wait, or is over."""
        with self._gate:
            if self._is_over or not self._is_reading or self._ends_itself:
                return False
            self._is_over = True
        self._finish()
        return True

    async def work(self) -> None:
        """Hand on items until the source has ended or the flow stops."""
        self.station.begin()
        try:
            await self._read_all()
        except (CutShort, asyncio.CancelledError):
            return
        except BaseException as exc:  # as in a stage
            self.station.control.fail(exc)
        finally:
            with self._gate:
                was_over, self._is_over = self._is_over, True
            if not was_over:
                self._finish()

    def _finish(self) -> None:
        self.outlets.end()
        self.station.end()

    async def _read_all(self) -> None:
        """Read the source. If it raises, it is read anew as the policy says, where that is possible."""
        station = self.station
        pauses = station.policy.pauses()
        while not station.control.is_stopping:
            iterator, before = self._iterator(), station.out
            try:
                await self._read(iterator)
                return
            except IteratorError as exc:
                error = exc.error
            finally:
                await _close(iterator)
            if station.out > before:
                pauses = station.policy.pauses()
            pause_s = next(pauses, None) if iterator is not station.node.work else None
            if pause_s is None:
                await self.outlets.failed(None, error)
                return
            await station.pause(pause_s)

    def _iterator(self) -> Iterator[Any] | AsyncIterator[Any]:
        work = self.station.node.work
        made = work() if inspect.isgeneratorfunction(work) or inspect.isasyncgenfunction(work) else work
        found: Iterator[Any] | AsyncIterator[Any] = aiter(made) if hasattr(made, "__aiter__") else iter(made)
        return found

    async def _read(self, iterator: Iterator[Any] | AsyncIterator[Any]) -> None:
        station, outlets, control = self.station, self.outlets, self.station.control
        plain, only = outlets.plain, outlets.only
        is_async, is_plain = isinstance(iterator, AsyncIterator), type(iterator) in NEVER_WAIT
        while self._ends_itself or not control.is_stopping:
            if control.is_held and not control.is_stopping:
                await station.park(None)
                continue
            if is_async and not station.out % TURN:
                await asyncio.sleep(0)
            self._is_reading = True
            try:
                if isinstance(iterator, AsyncIterator):
                    item = await Suspended(anext(iterator), station)
                elif is_plain:
                    item = next(iterator)
                else:
                    item = self._next(iterator)
            except (StopIteration, StopAsyncIteration):
                return
            except Exception as exc:
                raise IteratorError(exc) from exc
            with self._gate:
                self._is_reading = False
                is_over = self._is_over
            if is_over:
                station.dropped += item is not None and not isinstance(item, Gap | Mark)
                return
            if only is not None and type(item) in plain:  # as in `hand_on`, without two coroutines for each item
                station.out += 1
                if only.put(item):
                    await outlets.room(only)
            else:
                await self._give(item)

    def _offer(self, item: Any) -> bool:
        """Hand on an item for an iterator in the event loop that waits. Returns ``False`` if the iterator has to yield it."""
        outlets, control = self.outlets, self.station.control
        only = outlets.only
        if only is None or type(item) not in outlets.plain or not self._is_reading or len(only.items) >= only.max_items - 1:
            return False
        if control.is_held or control.is_stopping or self._is_over:
            return False
        self.station.out += 1
        only.put(item)
        return True

    def _next(self, iterator: Iterator[Any]) -> Any:
        """Return the next item, and count the wait for it."""
        began = self.station.waits()
        try:
            return next(iterator)
        finally:
            self.station.read(since=began)

    async def _give(self, item: Any) -> None:
        if isinstance(item, Mark):
            commit = self._source.commit if self._source is not None else lambda _: None
            item.depart(self._copies, ends=self._ends, commit=commit)
        if isinstance(item, list | Iterator):
            await self.outlets.hand_on_one(item)  # an item of an iterable, whatever it is
        else:
            await self.outlets.hand_on(item)


class Suspended:
    """Awaits something for a node, and counts the time in which it was suspended as waited.

    Args:
        awaited: what to await.
        station: the place of the node.
    """

    def __init__(self, awaited: Awaitable[Any], station: Station) -> None:
        self._awaited, self._station = awaited, station

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._awaited.__await__()
        problem: BaseException | None = None
        while True:
            try:
                wanted = steps.send(None) if problem is None else steps.throw(problem)
            except StopIteration as end:
                return end.value
            began, problem = self._station.waits(), None
            try:
                yield wanted
            except BaseException as exc:  # the task is cancelled, for example: the awaited code decides
                problem = exc
            finally:
                self._station.idled(since=began)


class IteratorError(Exception):
    """Carries the error that an iterator raised past the errors of the flow itself."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


async def _close(iterator: Iterator[Any] | AsyncIterator[Any]) -> None:
    """Close a generator, so that its ``finally`` blocks run now."""
    if inspect.isgenerator(iterator):
        iterator.close()
    elif inspect.isasyncgen(iterator):
        await iterator.aclose()
