"""The recorder: a client that enqueues a job for every reading of the thermometer, until the storage service ends."""

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
    """Subscribes to the readings of the thermometer and to the status of the storage. Use it as a context manager.

    Each reading becomes a job, so that a slow storage does not delay the receiver. A fatal status event of the storage ends the
    recorder: it unsubscribes, and cancels the waiting jobs. An error event about one key does not.

    Args:
        bus: the bus; a notification manager and the storage must be registered.
        queue: the name of the queue for the jobs.
        delay_s: the argument ``delay_s`` of the jobs.
    """

    def __init__(self, bus: Bus, *, queue: str = QUEUE, delay_s: float = 0.0) -> None:
        self._bus = bus
        self._queue = Queue(queue, connection=bus.redis)
        self._delay_s = delay_s
        self._manager: NotificationManager = bus.manager()
        self._end_event: Event | None = None
        self._ended = threading.Event()

    @property
    def manager(self) -> NotificationManager:
        """The notification manager of this recorder."""
        return self._manager

    def wait(self, timeout_s: float | None = None) -> Event | None:
        """Wait for the end of the storage. Return the event that announced the end; ``None`` if none came within ``timeout_s``."""
        return self._end_event if self._ended.wait(timeout_s) else None

    def __enter__(self) -> "Recorder":
        """Find the manager and the storage, create the log, and subscribe.

        Raises:
            ServiceNotFoundError: the manager or the storage is not registered.
        """
        self._manager.__enter__()
        try:
            self._bus.directory.find(provides="register_publisher")
            self._bus.directory.find(lambda service: "store" in service.provides)
            Store(self._bus).store(LOG_KEY, {})
            self._manager.subscribe(CLIENT, self._receive, TOPIC, self._bus.keys.status_topic(NAME))
            self._bus.directory.find(lambda service: "store" in service.provides)  # it may have ended before the subscription
        except BaseException:
            self._manager.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._manager.close()

    def _receive(self, event: Event) -> None:
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
            return  # the recorder has already ended
        self._end_event = event
        try:
            self._queue.cancel(needs=NAME, reason=str(event.contents))
        finally:
            self._ended.set()
