"""Publishes what jobs log on the topic ``job_log.<id>`` of each, for who looks at the job while it runs, or within the hour."""

import logging
from collections.abc import MutableMapping
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final
from weakref import WeakKeyDictionary

import msgspec

from notify.errors import NotifyError
from notify.events import Event, EventScripts, encode
from notify.server import Client, process_name
from notify.values import Json
from workers.jobs import Job
from workers.worker.job_context import FIELDS, fields_of, running_job

__all__ = ["JobLogHandler"]

KEPT: Final = 1_000
"""So many lines of a job are kept, about."""
KEPT_MS: Final = 3_600_000
"""Lifetime of the lines of a job, in ms."""
MOST: Final = 10_000
"""So many lines of a run are published; further ones are not."""
MAX_CHARS: Final = 4_096
"""The longest message that is published."""
OURS: Final = ("workers", "rq")
"""Loggers of the worker: their lines about a job are not those of the job."""
TOO_MANY: Final = "further lines of this run are not published"

_is_publishing: ContextVar[bool] = ContextVar("notify_job_log", default=False)


class JobLogHandler(logging.Handler):
    """Publishes the records that a running job logs. Those of a worker, and of threads that a job has started, are not published.

    The topics are not among the known ones: many jobs would hide the others. A record is lost if Redis does not answer.

    Args:
        level: the lowest level.
    """

    def __init__(self, level: str) -> None:
        super().__init__(level)
        self._counts: MutableMapping[Job, int] = WeakKeyDictionary()
        self._text = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        is_ours = record.name.partition(".")[0] in OURS
        job = None if is_ours or _is_publishing.get() else running_job()  # what publishing itself logs is not published
        if job is None or not job.fence:
            return
        count = self._counts[job] = self._counts.get(job, 0) + 1
        if count > MOST:
            return
        token = _is_publishing.set(True)
        try:
            with suppress(NotifyError):  # the log of a job must not fail it; it goes to stderr as well
                _publish(job, record, TOO_MANY if count == MOST else self._text.format(record))
        finally:
            _is_publishing.reset(token)


class _Scripts(EventScripts):
    """The scripts of events, with shorter lifetimes, and with an index of their own in place of the known topics."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._limits = [KEPT, KEPT_MS, 2 * KEPT_MS]

    def publish_line(self, topic: str, body: bytes) -> None:
        keys = [self.keys.log(topic), self.keys.topic(topic), self.keys.job_logs, self.keys.retained(topic)]
        self.run("publish", keys, [self.keys.channel(topic), topic, body, "", *self.limits()], action=f"publishing on {topic!r}")


def _publish(job: Job, record: logging.LogRecord, text: str) -> None:
    client = Client.of(job.connection)
    topic = client.own_keys.job_log_topic(job.id)
    known = fields_of(job)
    contents: dict[str, Json] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname,
        "logger": record.name,
        "message": text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS - 3]}...",
        **{name: known[name] for name in FIELDS if name != "job"},
    }
    event = Event(topic=topic, contents=contents, source=process_name())
    # In the history each job would be a topic of its own.
    uncounted = Client(client.connection_pool, settings=msgspec.structs.replace(client.settings, history="off"), owns_pool=False)
    _Scripts(uncounted).publish_line(topic, encode(event, max_bytes=client.settings.max_payload_bytes))
