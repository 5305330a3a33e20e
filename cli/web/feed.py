"""The one subscription of the page, for all viewers: it tells that something changed, and hands events to those who follow topics."""

import logging
import threading
import time
from collections import deque
from fnmatch import fnmatchcase
from typing import Final

from notify import Bus, ClosedError, Event, Gap, NotifyError

__all__ = ["Feed", "Tail"]

KEPT: Final = 300
"""Events that a viewer has not been sent yet, at most; of more the oldest are left out, and counted."""
WAIT_S: Final = 0.5
AGAIN_S: Final = 1.0
"""Seconds between two attempts to subscribe."""
LINGERS_S: Final = 5.0
"""Seconds for which the subscription outlives its last user, so that a click from page to page does not end it."""

log = logging.getLogger(__name__)


class Tail:
    """The events of some topics that a viewer follows.

    Args:
        pattern: a topic, or a glob pattern.
        text: only events with this text in their topic or contents.
    """

    def __init__(self, pattern: str, text: str = "") -> None:
        self._pattern, self._text = pattern, text.casefold()
        self._items: deque[Event | Gap] = deque(maxlen=KEPT)
        self._left_out = 0
        self._lock = threading.Lock()

    def offer(self, item: Event | Gap) -> None:
        """Take an item, if it is one of those that are followed. Called in the thread of the feed."""
        if not fnmatchcase(item.topic, self._pattern):
            return
        if self._text and self._text not in f"{item.topic} {getattr(item, 'contents', '')}".casefold():
            return
        self._keep(item)

    def interrupt(self) -> None:
        """Take it that events may be missing: the subscription ended. Called in the thread of the feed."""
        self._keep(Gap(self._pattern, "Redis was away", None, None))

    def take(self) -> tuple[list[Event | Gap], int]:
        """Return the items since the last call, and how many were left out."""
        with self._lock:
            items, left_out = list(self._items), self._left_out
            self._items.clear()
            self._left_out = 0
        return items, left_out

    def _keep(self, item: Event | Gap) -> None:
        with self._lock:
            self._left_out += len(self._items) == KEPT
            self._items.append(item)


class Feed:
    """Subscribes to all topics while somebody looks, once for all viewers.

    Args:
        bus: the bus.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._tails: set[Tail] = set()
        self._users = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._used_at = time.monotonic()
        self._tried_at = -1e9
        self._is_lost = False
        self.changes = 0
        """Grows with every event."""

    def attach(self, tail: Tail | None = None) -> None:
        """Begin to use the feed; `detach` ends that. The first user opens the subscription."""
        with self._lock:
            self._users += 1
            if tail is not None:
                self._tails.add(tail)
            self._open()

    def keep_open(self) -> None:
        """Open the subscription again if an error ended it. Who uses the feed calls this now and then."""
        with self._lock:
            if time.monotonic() - self._tried_at >= AGAIN_S:
                self._open()

    def detach(self, tail: Tail | None = None) -> None:
        """End a use of the feed. A while after the last one the subscription ends."""
        with self._lock:
            self._users -= 1
            if tail is not None:
                self._tails.discard(tail)

    def _open(self) -> None:
        if self._thread is None:
            self._tried_at = time.monotonic()
            self._thread = threading.Thread(target=self._run, name="notify-web-feed", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            with self._bus.subscribe("*") as subscriber:
                self._is_lost = False
                while True:
                    item = subscriber.get(WAIT_S)
                    if item is not None:
                        self._hand_on(item)
                    if self._is_unused():
                        return
        except ClosedError:
            pass  # the bus was closed while somebody looked: the next who asks is told so
        except NotifyError as exc:
            self._lose(exc)
        finally:
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread = None  # the next user, or one that is there, opens another one

    def _lose(self, problem: NotifyError) -> None:
        if self._is_lost:
            return  # told before
        self._is_lost = True
        log.warning("the page does not hear of changes, and looks by itself until it does: %s", problem)
        with self._lock:
            tails = list(self._tails)
        for tail in tails:
            tail.interrupt()

    def _hand_on(self, item: Event | Gap) -> None:
        self.changes += 1
        with self._lock:
            tails = list(self._tails)
        for tail in tails:
            tail.offer(item)

    def _is_unused(self) -> bool:
        """Return whether nobody has used the feed for a while; then its thread ends."""
        with self._lock:
            if self._users:
                self._used_at = time.monotonic()
            elif time.monotonic() - self._used_at >= LINGERS_S:
                self._thread = None
                return True
            return False
