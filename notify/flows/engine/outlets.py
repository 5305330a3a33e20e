"""The outlets of a node: where its results go, its errors, and the gaps and marks that pass it."""

import inspect
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from notify.errors import WiringError
from notify.events import Gap
from notify.flows.engine.inbox import Inbox
from notify.flows.engine.station import Station, short
from notify.flows.items import DROPPED, ERROR, OUT, Failed, Items, Mark, To

__all__ = ["Outlets"]

log = logging.getLogger(__name__)


class Outlets:
    """Hands on what a node returns, and waits while what is behind it is full.

    Args:
        station: the place of the node.
    """

    def __init__(self, station: Station) -> None:
        self._station = station
        self._inboxes: dict[str, list[Inbox]] = {}
        self.plain: set[type] = set()
        """Types of results that are one item for ``out``, as far as they are known."""

    def link(self, outlet: str, inbox: Inbox) -> None:
        """Link an outlet to the inbox of a node."""
        self._inboxes.setdefault(outlet, []).append(inbox)

    @property
    def only(self) -> Inbox | None:
        """The inbox that ``out`` is linked to, if it is one."""
        inboxes = self._inboxes.get(OUT, [])
        return inboxes[0] if len(inboxes) == 1 else None

    async def hand_on(self, result: Any, item: Any = None) -> None:
        """Hand on what a node returned, for an item: nothing, one item or several."""
        if type(result) in self.plain:
            await self.send(OUT, result)
        elif isinstance(result, Items | list):
            await self._hand_on_list(result.items if isinstance(result, Items) else result)
        elif isinstance(result, Iterator):
            await self._hand_on_iterator(result, item)
        else:
            await self.hand_on_one(result)

    async def hand_on_one(self, result: Any) -> None:
        """Hand on one result, or none; a list or an iterator is one item here."""
        if result is None:
            return
        if result is DROPPED:
            self._station.dropped += 1
        elif isinstance(result, To):
            await self.send(result.outlet, result.item)
        elif isinstance(result, Failed) and not result.stage:  # otherwise it is the item of another stage, on its way
            await self.failed(result.item, result.error)
        elif isinstance(result, Mark):
            await self._pass_mark(result)
        elif isinstance(result, Gap):
            await self._pass_gap(result)
        elif inspect.iscoroutine(result):
            result.close()
            raise WiringError(f"{self._station.name!r} returned a coroutine, and is no coroutine function: write it as async def")
        else:
            if not isinstance(result, Items | list | Iterator | Failed):
                self.plain.add(type(result))
            await self.send(OUT, result)

    async def send(self, outlet: str, item: Any) -> None:
        """Put an item into all inboxes that an outlet is linked to, and wait for room in those that are full then."""
        station, inboxes = self._station, self._inboxes.get(outlet)
        if inboxes is None:
            if outlet == OUT and not self._inboxes.keys() - {ERROR}:
                return  # what a sink returns
            raise WiringError(f"{station.name!r} sent an item to its outlet {outlet!r}, which is linked to nothing: link it")
        if outlet != ERROR:
            station.out += 1
        full = [inbox for inbox in inboxes if inbox.put(item)]
        for inbox in full:
            await self.room(inbox)

    async def room(self, inbox: Inbox) -> None:
        """Wait until an inbox is not full."""
        before = self._station.waits()
        while len(inbox.items) >= inbox.max_items and not self._station.is_cut:
            await inbox.room(self._station.parker)
        self._station.waited(since=before)

    async def failed(self, item: Any, error: Exception) -> None:
        """Send an item for which the node raised the way of errors: to the outlet ``error``, else as the policy says."""
        station = self._station
        station.errors += 1
        if ERROR in self._inboxes:
            await self.send(ERROR, Failed(item, error, station.name))
        elif station.policy.then == "skip":
            station.skip(item, error)
        else:
            error.add_note(f"raised in the stage {station.name!r} of a flow, for the item {short(item)}")
            raise error

    def end(self) -> None:
        """Tell the nodes behind this one that nothing more comes from it."""
        for inboxes in self._inboxes.values():
            for inbox in inboxes:
                inbox.end_input()

    async def _hand_on_list(self, results: Sequence[Any]) -> None:
        plain, only, station = self.plain, self.only, self._station
        for number, each in enumerate(results, 1):
            try:
                if only is None or type(each) not in plain:
                    await self.hand_on_one(each)
                    continue
                station.out += 1  # as in `send`, without two coroutines for each item
                if only.put(each):
                    await self.room(only)
            except BaseException:
                station.dropped += len(results) - number
                raise

    async def _hand_on_iterator(self, results: Iterator[Any], item: Any) -> None:
        while True:
            try:
                each = next(results)
            except StopIteration:
                return
            except Exception as exc:
                await self.failed(item, exc)
                return
            await self.hand_on_one(each)

    async def _pass_mark(self, mark: Mark) -> None:
        """Hand a mark on by each link, or record its end if there is none."""
        if not self._inboxes:
            mark.ends()
        for inboxes in self._inboxes.values():
            for inbox in inboxes:
                if inbox.put(mark):
                    await self.room(inbox)

    async def _pass_gap(self, gap: Gap) -> None:
        """Hand a gap on to all nodes behind this one; log it where nothing is behind and nobody asked for it."""
        if not self._inboxes:
            log.warning("a gap reached %r, the end of a flow, which does not ask for gaps: events are lost: %s", self._station.name, gap)
        inboxes = {id(inbox): inbox for outlet, linked in self._inboxes.items() if outlet != ERROR for inbox in linked}
        for inbox in inboxes.values():
            if inbox.put(gap):
                await self.room(inbox)
