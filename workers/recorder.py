"""The recorder: the client that has every reading of the thermometer logged by a job, until the storage is gone."""

import threading
from typing import Final

from notify import Bus, Event, Failure, NotificationManager
from notify.errors import NotSubscribedError
from workers.queue import Queue
from workers.storage import NAME, Store
from workers.temperature import LOG_KEY, QUEUE, TOPIC, log_temperature, reading_of

__all__ = ["Recorder"]

CLIENT: Final = "client"


class Recorder:
    """Subscribes to readings and to the storage's status; use it as a context manager.

    Each reading becomes a job, so that a slow storage holds up nobody. A fatal status event of the storage ends it: it
    unsubscribes, and the waiting jobs are cancelled. An event about one key does not.

    Args:
        bus: the bus; its directory must know a notification manager and the storage.
        queue: name of the queue for the jobs.
        delay_s: handed to the jobs.
    """

    def __init__(self, bus: Bus, *, queue: str = QUEUE, delay_s: float = 0.0) -> None:
        self._bus = bus
        self._queue = Queue(queue, connection=bus.redis)
        self._delay_s = delay_s
        self._manager: NotificationManager = bus.manager()
        self._end: Event | None = None
        self._ended = threading.Event()

    @property
    def manager(self) -> NotificationManager:
        return self._manager

    def wait(self, timeout_s: float | None = None) -> Event | None:
        """Wait for the end of the storage. Returns the event that told it, ``None`` if it did not come in time."""
        return self._end if self._ended.wait(timeout_s) else None

    def __enter__(self) -> "Recorder":
        """Find manager and storage, start the log, subscribe.

        Raises:
            ServiceNotFoundError: there is no storage.
        """
        self._manager.__enter__()
        try:
            self._bus.directory.find(provides="register_publisher")
            self._bus.directory.find(lambda service: "store" in service.provides)
            Store(self._bus).store(LOG_KEY, {})
            self._manager.subscribe(CLIENT, self._hear, TOPIC, self._bus.keys.status_topic(NAME))
            self._bus.directory.find(lambda service: "store" in service.provides)  # an end just before that would go unheard
        except BaseException:
            self._manager.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._manager.close()

    def _hear(self, event: Event) -> None:
        if event.topic == TOPIC:
            reading = reading_of(event)
            if reading is not None:
                self._queue.enqueue(log_temperature, *reading, self._delay_s)
        elif isinstance(event.contents, Failure) and event.contents.fatal:
            self._finish(event)

    def _finish(self, event: Event) -> None:
        try:
            self._manager.unsubscribe(CLIENT)
        except NotSubscribedError:
            return  # it has ended already
        self._end = event
        try:
            self._queue.cancel(needs=NAME, reason=str(event.contents))
        finally:
            self._ended.set()
