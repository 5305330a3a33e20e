"""Views that change while somebody looks: each is made at most once a second, however many look, and sent to all of them."""

import asyncio
import hashlib
import json
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from typing import Final, NamedTuple

from anyio import CapacityLimiter, to_thread

from cli.web.feed import Feed
from notify import NotifyError, ServerUnreachableError

__all__ = ["Hub", "Snapshot"]

REFRESH_S: Final = 1.0
"""Seconds between two makings of a view, at least."""
STALE_S: Final = 4.0
"""Seconds after which a view is made again although no event came: ages grow, and plain RQ publishes nothing."""
HEARTBEAT_S: Final = 15.0
"""Seconds after which a line is sent that says nothing, so that a proxy does not end the connection."""
MOST_KEPT: Final = 200
"""Views that are kept for the next who asks."""
AT_ONCE: Final = 4
"""Views that are made at once: each needs a thread and a connection."""

log = logging.getLogger(__name__)


class Snapshot(NamedTuple):
    """A view as it was made: its HTML, the title of its page, and a mark by which a browser sees whether it has it."""

    html: str
    title: str
    mark: str

    @classmethod
    def of(cls, html: str, title: str) -> "Snapshot":
        """Return the snapshot of some HTML, with its mark."""
        return cls(html, title, hashlib.sha256(html.encode(errors="replace")).hexdigest()[:16])


class _View:
    """A view that is kept: how it is made, its last snapshot, and when it was made."""

    def __init__(self, make: Callable[[], Snapshot]) -> None:
        self.make = make
        self.snapshot: Snapshot | None = None
        self.problem: NotifyError | None = None
        self.made_at = -1e9
        self.changes = -1
        self.making = asyncio.Lock()


class Hub:
    """Makes views, and shares them among all that look.

    Args:
        feed: tells whether anything changed.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._views: OrderedDict[str, _View] = OrderedDict()
        self._limiter: CapacityLimiter | None = None
        self.made = 0
        """How many views were made."""

    async def snapshot(self, key: str, make: Callable[[], Snapshot]) -> Snapshot:
        """Return a view, which is at most `REFRESH_S` old.

        Args:
            key: names the view; who asks with the same key gets the same snapshot.
            make: makes it. Called in a thread.

        Raises:
            NotifyError: what ``make`` raised.
        """
        view = self._view(key, make)
        await self._refresh(view, REFRESH_S)
        if view.problem is not None:
            raise view.problem
        assert view.snapshot is not None  # noqa: S101  # there is a problem otherwise
        return view.snapshot

    async def follow(self, key: str, make: Callable[[], Snapshot], *, has: str = "") -> AsyncGenerator[str, None]:
        """Yield a view whenever it changes, as server-sent events, until the caller ends it.

        Args:
            key, make: as for `snapshot`.
            has: the mark of the snapshot that the browser has.
        """
        view, told_at, away = self._view(key, make), time.monotonic(), ""
        self._feed.attach()
        try:
            yield "retry: 2000\n\n"
            while True:
                self._feed.keep_open()
                # What did not change is not made again, but for the ages in it.
                changed = self._feed.changes != view.changes
                await self._refresh(view, REFRESH_S if changed else STALE_S)
                if view.problem is not None and str(view.problem) != away:
                    away, has = str(view.problem), ""
                    kind = "away" if isinstance(view.problem, ServerUnreachableError) else "gone"
                    yield _message(kind, {"text": away})
                    told_at = time.monotonic()
                elif view.problem is None and view.snapshot is not None and view.snapshot.mark != has:
                    away, has = "", view.snapshot.mark
                    yield _message("update", {"html": view.snapshot.html, "title": view.snapshot.title, "mark": has})
                    told_at = time.monotonic()
                elif time.monotonic() - told_at > HEARTBEAT_S:
                    yield ": still here\n\n"
                    told_at = time.monotonic()
                await asyncio.sleep(REFRESH_S)
        finally:
            self._feed.detach()

    def _view(self, key: str, make: Callable[[], Snapshot]) -> _View:
        view = self._views.pop(key, None) or _View(make)
        self._views[key] = view  # the last one that was asked for
        while len(self._views) > MOST_KEPT:
            self._views.popitem(last=False)
        return view

    async def _refresh(self, view: _View, age_s: float) -> None:
        """Make a view, unless it is young enough, or somebody is at it: then wait for theirs."""
        async with view.making:
            if time.monotonic() - view.made_at < age_s:
                return
            self._limiter = self._limiter or CapacityLimiter(AT_ONCE)
            view.changes = self._feed.changes
            try:
                view.snapshot = await to_thread.run_sync(view.make, limiter=self._limiter)
                view.problem = None
            except NotifyError as exc:
                view.problem = exc
            self.made += 1
            view.made_at = time.monotonic()


def _message(event: str, contents: dict[str, str]) -> str:
    return f"event: {event}\ndata: {json.dumps(contents)}\n\n"
