"""What servers and clients have in common: an endpoint is a source and a sink, and may be both in one flow."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, ClassVar, Final

from notify.errors import ClosedError
from notify.events import Gap
from notify.flows.items import Items, Mark
from notify.flows.protocol import Context, Source, TakesMany
from notify.flows.tcp.address import Address
from notify.flows.tcp.counts import EndpointCounts
from notify.flows.tcp.exchange import Exchange, Options

__all__ = ["Endpoint"]

CLOSE_S: Final = 1.0
"""How long connections get to end before they are cut off."""


class Endpoint(Source, TakesMany):
    """The part of servers and clients that the flow sees. All of it runs in the event loop of the flow, except `stop`.

    Args:
        address: where it is.
        options: what holds for all of its connections.
    """

    outlets: tuple[str, ...] = ()
    max_batch: ClassVar[int] = 500

    def __init__(self, address: Address, options: Options) -> None:
        self._address, self._options = address, options
        self._exchange: Exchange | None = None
        self._counts = EndpointCounts()

    @property
    def address(self) -> str:
        """Where it is: ``host:port``, or the path of its Unix socket."""
        return str(self._address)

    def counts(self) -> EndpointCounts:
        """Return what it has done so far."""
        return self._counts if self._exchange is None else self._exchange.counts()

    async def open(self, context: Context) -> None:
        exchange = Exchange(f"{type(self).__name__} {self.address} of {context.name!r}", self._options, context.uses, context.offer)
        self._exchange = exchange
        await self._open(exchange)

    async def __aiter__(self) -> AsyncIterator[Any]:
        exchange = self._exchange
        if exchange is None:
            raise ClosedError(f"{self!r} is not open: run it in a flow")
        while (items := await exchange.intake.get()) is not None:
            yield Items(items) if len(items) > 1 else items[0]
        self._check()

    def stop(self) -> None:
        exchange = self._exchange
        if exchange is not None:
            with suppress(RuntimeError):  # the loop is closed: the flow is over
                exchange.loop.call_soon_threadsafe(self._stop, exchange)

    async def take_many(self, items: list[Any]) -> Any:
        self._check()
        exchange = self._opened
        refused = exchange.send(items)
        await exchange.fanout.room()
        await asyncio.sleep(0)  # connections are served between two batches
        self._check()
        return refused

    def take_now(self, item: Any) -> bool:
        """Send one item, if no connection has to be waited for."""
        self._check()
        return self._opened.send_now(item)

    async def take_gap(self, gap: Gap) -> None:
        """Tell all connections of events of a topic that are lost."""
        what = f"events of {gap.topic} are lost ({gap.reason}), after {gap.first} to {gap.last}"
        self._opened.fanout.send([self._options.framing.notice("gap", what)])

    async def mark(self, mark: Mark) -> Mark:
        """Let a mark pass when the operating system has all frames before it, if the flow waits for the connections at all."""
        if self._options.queue.when_full == "wait":
            await self._opened.fanout.drained()
            self._check()
        return mark

    async def end(self) -> None:
        """Deliver what waits for connections."""
        await self._drain(self._opened)

    def held(self) -> int:
        exchange = self._exchange
        return exchange.fanout.waiting if exchange is not None and self._options.queue.when_full == "wait" else 0

    async def close(self) -> None:
        exchange = self._exchange
        if exchange is not None:
            await self._close(exchange)
            await exchange.close(CLOSE_S)
            self._counts, self._exchange = exchange.counts(), None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address}>"

    @property
    def _opened(self) -> Exchange:
        if self._exchange is None:
            raise ClosedError(f"{self!r} is not open: run it in a flow")
        return self._exchange

    @abstractmethod
    async def _open(self, exchange: Exchange) -> None:
        """Begin to accept or to make connections."""

    @abstractmethod
    def _stop(self, exchange: Exchange) -> None:
        """Take nothing more in. Runs in the event loop."""

    @abstractmethod
    async def _drain(self, exchange: Exchange) -> None:
        """Wait until what was sent is on its way."""

    @abstractmethod
    async def _close(self, exchange: Exchange) -> None:
        """Accept and make no connections any more."""

    def _check(self) -> None:
        """Raise the error that ended the endpoint, if there is one."""
