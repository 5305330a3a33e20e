"""Calls a stage with its items, again if it raises and the policy says so, and hands the results on."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

from notify.flows.engine.outlets import Outlets
from notify.flows.engine.station import CutShort, Station
from notify.flows.protocol import Stage, TakesMany

__all__ = ["Caller"]

TURN: Final = 64
"""A stage in the event loop lets others run after so many calls."""


class Caller:
    """Calls one stage or callable.

    Args:
        station: the place of the node.
        outlets: its outlets.
        is_async: whether it is called in the event loop.
    """

    def __init__(self, station: Station, outlets: Outlets, *, is_async: bool) -> None:
        work = station.node.work
        self._station, self._outlets, self._is_async = station, outlets, is_async
        self._calls = 0
        self._call: Callable[[Any], Any] = work.take if isinstance(work, Stage) else work
        self.many = work if isinstance(work, TakesMany) else None
        """The stage, if it takes several items at once."""

    @property
    def plain(self) -> Callable[[Any], Any] | None:
        """The function, if it can be called as it is, with one item, outside the event loop, and once."""
        return None if self._is_async or self._station.policy.retries or self.many is not None else self._call

    async def take(self, item: Any) -> None:
        """Call the stage with one item."""
        pauses = self._station.policy.pauses()
        while True:
            try:
                result = await self._result(item)
                break
            except Exception as exc:
                pause_s = next(pauses, None)
                if pause_s is None:
                    await self._outlets.failed(item, exc)
                    return
            except asyncio.CancelledError:
                self._station.dropped += 1
                raise
            await self._pause_with(1, pause_s)
        await self._outlets.hand_on(result, item)

    async def take_many(self, stage: TakesMany, batch: list[Any]) -> None:
        """Call the stage with several items."""
        pauses = self._station.policy.pauses()
        while True:
            try:
                result = await self._awaited(stage.take_many(batch))
                break
            except Exception as exc:
                pause_s = next(pauses, None)
                if pause_s is None:
                    await self._all_failed(batch, exc)
                    return
            except asyncio.CancelledError:
                self._station.dropped += len(batch)
                raise
            await self._pause_with(len(batch), pause_s)
        await self._outlets.hand_on(result)

    async def hook(self, hook: Callable[..., Any], *arguments: Any) -> None:
        """Call a hook of the stage, and hand on its results."""
        try:
            result = await self._awaited(hook(*arguments))
        except Exception as exc:
            await self._outlets.failed(None, exc)
        else:
            await self._outlets.hand_on(result)

    async def _result(self, item: Any) -> Any:
        result = await self._awaited(self._call(item))
        # All results of a stage that may be called again are there before the first is handed on: none comes twice.
        return list(result) if self._station.policy.retries and isinstance(result, Iterator) else result

    async def _awaited(self, result: Any) -> Any:
        """Return the result of a call, which in the event loop may be one to wait for."""
        if not self._is_async:
            return result
        self._calls += 1
        if not self._calls % TURN:
            await asyncio.sleep(0)
        if isinstance(result, AsyncIterator):
            return [each async for each in result]
        return await result if inspect.isawaitable(result) else result

    async def _all_failed(self, batch: list[Any], error: Exception) -> None:
        for number, item in enumerate(batch, 1):
            try:
                await self._outlets.failed(item, error)
            except BaseException:
                self._station.dropped += len(batch) - number
                raise

    async def _pause_with(self, count: int, pause_s: float) -> None:
        """Pause with items in hand, which are dropped if the flow is cut meanwhile."""
        try:
            await self._station.pause(pause_s)
        except (CutShort, asyncio.CancelledError):
            self._station.dropped += count
            raise
