"""What all connections of an endpoint share: the way in and the way out, the rules of time, and the reports."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from notify.errors import FrameError
from notify.flows.fanout import Fanout, QueueLimits
from notify.flows.framing import Framing, framing_of
from notify.flows.items import DROPPED, Failed
from notify.flows.protocol import Uses
from notify.flows.reports import Reports
from notify.flows.tcp.counts import EndpointCounts
from notify.flows.tcp.intake import Intake
from notify.flows.tcp.security import Secret, secret_of
from notify.settings import MAX_TIMEOUT_S, positive
from notify.values import counted

__all__ = ["Exchange", "Options", "Peer", "options_of"]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of an endpoint that hold for all of its connections.

    Args:
        framing: how bytes become items.
        queue: the limits of the queue of each client.
        secret: the token of the first line.
        idle_timeout_s: seconds without a byte in either direction after which a connection is closed.
        keep_alive_s: seconds of silence after which the operating system probes whether the other side still lives.
    """

    framing: Framing
    queue: QueueLimits
    secret: Secret | None
    idle_timeout_s: float | None
    keep_alive_s: float | None


def options_of(framing: object, queue: QueueLimits, token: object, *, idle_timeout_s: float | None, keep_alive_s: float | None) -> Options:
    """Return the options for the arguments of an endpoint, or raise `WiringError` or `SettingsError`."""
    for name, seconds in (("idle_timeout_s", idle_timeout_s), ("keep_alive_s", keep_alive_s)):
        if seconds is not None:
            positive(seconds, name, at_most=MAX_TIMEOUT_S)
    return Options(
        framing=framing_of(framing), queue=queue, secret=secret_of(token), idle_timeout_s=idle_timeout_s, keep_alive_s=keep_alive_s
    )


class Peer(Protocol):
    """A connection, as the exchange knows it."""

    peer: str
    active_at: float
    lost: asyncio.Future[Exception | None]

    def pause_reading(self) -> None:
        """Do not read until `resume_reading`."""

    def resume_reading(self) -> None:
        """Read again."""

    def stop_reading(self) -> None:
        """Do not read any more."""

    def disconnect(self, reason: str) -> None:
        """Close the connection, and tell the other side why."""

    def close(self) -> None:
        """Close the connection when what was written is sent."""

    def abort(self) -> None:
        """Close the connection now."""


class Exchange:
    """Hands what connections receive to the flow, and what the flow gives to the connections. Made and used in the event loop.

    Args:
        name: the endpoint, in logs.
        options: its options.
        uses: how the flow uses it.
        offer: hands an item to the flow at once, if that is possible.
    """

    def __init__(self, name: str, options: Options, uses: Uses, offer: Callable[[Any], bool]) -> None:
        self.options, self.uses, self.offer = options, uses, offer
        self.loop = asyncio.get_running_loop()
        self.reports = Reports(name)
        self.intake = Intake(self._pause, self._resume)
        framing = options.framing
        self.fanout = Fanout(
            options.queue, lambda count: framing.notice("gap", f"{_frames(count)} dropped, since this client reads too slowly")
        )
        self.connections: dict[Peer, None] = {}
        self.leaving: dict[Peer, None] = {}
        """Those that are closed for a reason, and may still read it."""
        self._idle_check: asyncio.TimerHandle | None = None
        if options.idle_timeout_s is not None:
            self._check_idle()

    def counts(self) -> EndpointCounts:
        """Return what was counted."""
        counts = self.reports.counts
        return EndpointCounts(
            clients=len(self.connections),
            dropped=self.fanout.dropped,
            **{kind: counts[kind] for kind in ("connected", "refused", "closed", "received", "bad", "sent")},
        )

    def received(self, connection: Peer, items: list[Any], size: int) -> None:
        """Hand items to the flow. Those that cannot be used go to its outlet ``error`` if that is linked, and are counted otherwise."""
        if not self.uses.is_source:
            note = f"{connection.peer} sends, and the flow only sends to it: what comes in is ignored; use the endpoint as a source too"
            self.reports.note("ignored", note, count=len(items), level=logging.INFO)
            return
        count = len(items)
        if Failed in set(map(type, items)):
            count -= sum(type(item) is Failed for item in items)
            items = [self._refused(connection, item) if type(item) is Failed else item for item in items]
        self.reports.counts["received"] += count
        if count == 1 == len(items) and self.intake.is_empty and self.offer(items[0]):
            return
        if self.intake.is_closed:
            self.reports.note("late", f"{counted(len(items), 'frame')} of {connection.peer} came after the stop of the flow: dropped")
        else:
            self.intake.put(items, size)

    def send(self, items: list[Any]) -> list[Failed]:
        """Send items to all connections. Returns those that cannot be sent."""
        encode, frames, refused = self.options.framing.encode, list[bytes](), list[Failed]()
        for item in items:
            try:
                frames.append(encode(item))
            except FrameError as exc:
                refused.append(Failed(item, exc))
        self._send(frames)
        return refused

    def send_now(self, item: Any) -> bool:
        """Send one item, if it can be sent and no connection has to be waited for. Returns ``False`` if nothing was sent."""
        if self.fanout.is_full:
            return False
        self._send([self.options.framing.encode(item)])
        return True

    def _send(self, frames: list[bytes]) -> None:
        self.reports.counts["sent"] += len(frames)
        before = self.fanout.dropped
        self.fanout.send(frames)
        if self.fanout.dropped != before:
            note = "frames were dropped for clients that read too slowly: let them read faster, or give the queue more max_items"
            self.reports.note("dropped", note, count=self.fanout.dropped - before)

    def stop_reading(self) -> None:
        """Take nothing more in: the flow gets what is there, and what is half there goes the way of bad frames."""
        for connection in tuple(self.connections):
            connection.stop_reading()
        self.intake.close()

    async def close(self, timeout_s: float) -> None:
        """Close all connections; those that do not end in time are cut off."""
        if self._idle_check is not None:
            self._idle_check.cancel()
        for connection in tuple(self.connections):
            connection.close()
        await self._all_lost(timeout_s)
        for connection in (*self.connections, *self.leaving):
            connection.abort()
        await self._all_lost(timeout_s)
        self.reports.finish()

    async def _all_lost(self, timeout_s: float) -> None:
        left = [connection.lost for connection in (*self.connections, *self.leaving)]
        if left:
            await asyncio.wait(left, timeout=timeout_s)

    def _refused(self, connection: Peer, failed: Failed) -> Any:
        """Return what the flow gets in place of a frame that cannot be used."""
        self.reports.counts["bad"] += 1
        failed.error.add_note(f"it came from {connection.peer}")
        if self.uses.has_errors:
            return failed
        self.reports.note("dropped frame", f"a frame of {connection.peer} is dropped: {failed.error}: {failed.item!r:.120}")
        return DROPPED

    def _pause(self) -> None:
        for connection in self.connections:
            connection.pause_reading()

    def _resume(self) -> None:
        for connection in self.connections:
            connection.resume_reading()

    def _check_idle(self) -> None:
        idle_s = self.options.idle_timeout_s or 0.0
        too_old = self.loop.time() - idle_s
        for connection in tuple(self.connections):
            if connection.active_at < too_old and not self.intake.is_paused:
                connection.disconnect(f"it was idle for {idle_s:g} s: send something, or raise idle_timeout_s")
        self._idle_check = self.loop.call_later(min(1.0, idle_s / 4), self._check_idle)


def _frames(count: int) -> str:
    return f"{counted(count, 'frame')} {'was' if count == 1 else 'were'}"
