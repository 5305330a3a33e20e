"""Runs a stage or a sink: takes items from its inbox, and has it called with them."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from notify.events import Gap
from notify.flows.engine.caller import Caller
from notify.flows.engine.inbox import AsyncParker, Inputs
from notify.flows.engine.outlets import Outlets
from notify.flows.engine.station import Counters, CutShort, Station
from notify.flows.items import Mark
from notify.flows.protocol import Stage, TakesNow

__all__ = ["StageRunner"]

BESIDE: Final = frozenset({Gap, Mark})
"""What passes a stage beside its items."""


class StageRunner:
    """Runs one stage or sink in its thread or task.

    Args:
        station: the place of the node.
        links: the name of each node that is linked to it → the number of these links.
        is_async: whether it is a task of the event loop.
    """

    def __init__(self, station: Station, *, links: Mapping[str, int], is_async: bool) -> None:
        self.station = station
        self.outlets = Outlets(station)
        self.inputs = Inputs(links, station.node.max_items, station.parker)
        self._caller = Caller(station, self.outlets, is_async=is_async)
        self._stage = station.node.work if isinstance(station.node.work, Stage) else None
        has_clock = self._stage is not None and type(self._stage).due_at is not Stage.due_at
        self._due_at: Callable[[], float | None] | None = self._stage.due_at if self._stage is not None and has_clock else None
        self._is_parked = False
        self._now = self._stage if isinstance(self._stage, TakesNow) else None
        if isinstance(station.parker, AsyncParker) and self._now is not None and len(links) == 1:
            station.parker.instead = self._take_now

    @property
    def counters(self) -> Counters:
        """The counters of the stage."""
        return self.station.counters(len(self.inputs))

    async def work(self) -> None:
        """Take items until no more can come. After an error that ends the flow, items are taken and dropped: nobody before it waits."""
        self.station.begin()
        try:
            await self._work()
        except (CutShort, asyncio.CancelledError):
            self._drop_held()
        finally:
            self.drop_queued()
            self.outlets.end()
            self.station.end()

    async def _work(self) -> None:
        try:
            await self._take_all()
            if self._stage is not None:
                await self._caller.hook(self._stage.end)
            if self.station.is_cut:
                raise CutShort  # the last results may be incomplete
        except (CutShort, asyncio.CancelledError):
            raise
        except BaseException as exc:  # a stage may raise SystemExit, and that ends the flow as well
            self.station.control.fail(exc)
            self._drop_held()
            await self._drop_all()

    async def _take_all(self) -> None:
        inbox, items, station, outlets = self.inputs.front, self.inputs.front.items, self.station, self.outlets
        plain, only, call = outlets.plain, outlets.only, self._caller.plain
        while not station.control.is_cut:
            if not items:
                if await self._next():
                    continue
                return
            if call is None or type(items[0]) in BESIDE:
                await self._take()
                continue
            # From here on as in `_take`, without its coroutines for each item.
            item = items.popleft()
            if inbox.blocked and len(items) <= inbox.low:
                inbox.unblock()
            station.taken += 1
            try:
                result = call(item)
            except Exception as exc:
                await outlets.failed(item, exc)
                continue
            if only is not None and type(result) in plain:
                station.out += 1
                if only.put(result):
                    await outlets.room(only)
            elif result is not None:
                await outlets.hand_on(result, item)
            if self._due_at is not None or station.is_woken:
                await self._tick_if_due()
        raise CutShort

    async def _take(self) -> None:
        """Take the next item, the next items, or what passes beside them."""
        inbox, items, many = self.inputs.front, self.inputs.front.items, self._caller.many
        batch = [items.popleft()]
        is_beside = type(batch[0]) in BESIDE
        while many is not None and not is_beside and items and len(batch) < many.max_batch and type(items[0]) not in BESIDE:
            batch.append(items.popleft())
        if inbox.blocked and len(items) <= inbox.low:
            inbox.unblock()
        if is_beside:
            await self._beside(batch[0])
            return
        self.station.taken += len(batch)
        await (self._caller.take(batch[0]) if many is None else self._caller.take_many(many, batch))
        await self._tick_if_due()

    async def _beside(self, item: Gap | Mark) -> None:
        """Let a gap or a mark pass, or hand it to the stage that asks for it."""
        if isinstance(item, Mark) and not item.arrives(self.station.name):
            return
        node, hook = self.station.node, None
        if self._stage is not None:
            hook = self._stage.take_gap if isinstance(item, Gap) else self._stage.mark
        elif node.takes_gaps and isinstance(item, Gap):
            hook = node.work
        await (self.outlets.hand_on(item) if hook is None else self._caller.hook(hook, item))

    async def _next(self) -> bool:
        """Wait for an item, or for the time of a tick. Returns ``False`` if no item can come any more."""
        if await self._tick_if_due():
            return True
        due_at = None if self._due_at is None else self._due_at()
        return await self._wait(None if due_at is None else max(0.0, due_at - time.monotonic()))

    async def _wait(self, timeout_s: float | None) -> bool:
        """Wait for an item, at most ``timeout_s`` seconds. Returns ``False`` if no item can come any more."""
        inputs = self.inputs
        if inputs.gather():
            return True
        inputs.waits(True)
        is_last = inputs.are_over  # before the look at the items: a node ends after its last item
        if not len(inputs) and not self.station.is_woken:
            if is_last:
                return False
            self._is_parked = True
            try:
                await self.station.park(timeout_s)
            finally:
                self._is_parked = False
        inputs.waits(False)
        return True

    def _take_now(self) -> bool:
        """Have a stage that waits in the event loop take a single item at once. Returns ``False`` if its task has to go on."""
        inbox, now, station = self.inputs.front, self._now, self.station
        items = inbox.items
        if now is None or not self._is_parked or station.is_cut or station.is_woken or len(items) != 1 or type(items[0]) in BESIDE:
            return False
        began = time.monotonic()
        try:
            if not now.take_now(items[0]):
                return False
        except Exception:
            return False  # it raises again in its task, which knows what to do
        items.popleft()
        station.taken += 1
        station.worked(since=began)
        if inbox.blocked and len(items) <= inbox.low:
            inbox.unblock()
        inbox.is_waiting = True
        return not items

    async def _tick_if_due(self) -> bool:
        """Call the hook `tick` if its time has come, or the stage was woken. Returns whether it was called."""
        if self._stage is None:
            return False
        due_at = None if self._due_at is None else self._due_at()
        if not (self.station.is_woken or (due_at is not None and due_at <= time.monotonic())):
            return False
        self.station.is_woken = False
        await self._caller.hook(self._stage.tick)
        return True

    async def _drop_all(self) -> None:
        """Take and drop items until no more can come."""
        with suppress(CutShort, asyncio.CancelledError):  # the flow is cut: no more comes
            while await self._wait(None):
                self.station.is_woken = False
                self.drop_queued()

    def _drop_held(self) -> None:
        """Count what the stage holds back as dropped."""
        self.station.dropped += 0 if self._stage is None else self._stage.held()

    def drop_queued(self) -> None:
        """Drop all items that wait, and count them."""
        self.station.dropped += sum(type(item) not in BESIDE for item in self.inputs.take_rest())
