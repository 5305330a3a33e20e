"""Puts a plain job on a queue: a new one without needs, at the end. Most jobs are so, and the server needs half the time for them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from itertools import chain
from typing import Any

from notify.events import PublishingScripts, limits_of
from notify.keys import Keys
from notify.server import Client, process_name
from notify.settings import Settings
from workers import rq_keys
from workers.scripts.runner import around_time, rq_time

__all__ = ["PlainEnqueueScript"]


class PlainEnqueueScript(PublishingScripts):
    """Runs ``enqueue_plain.lua``, which has the same effect as ``enqueue.lua`` for such jobs, and gets its keys through KEYS."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, "workers.scripts")

    def enqueue(self, queue: str, job_id: str, fields: Mapping[Any, Any]) -> None:
        """Put a job on the end of a queue.

        Args:
            queue: the name of the queue.
            job_id: the id of the job, which was made just now.
            fields: the hash of the job, as RQ writes it.

        Raises:
            ServerUnreachableError: no answer. The job may be on the queue.
            ServerRefusedError: the server answered with an error.
        """
        keys, args = _place(self.client.settings, self.keys, queue)
        event = _event(self.keys.job_topic(queue)) if self.client.settings.tells("enqueued") else b""
        own = (job_id, event, *args, *chain.from_iterable(fields.items()))
        self.run("enqueue_plain", (rq_keys.job(job_id), *keys), own, action=f"enqueueing on {queue!r}")


@cache
def _place(settings: Settings, keys: Keys, queue: str) -> tuple[tuple[str, ...], tuple[str | int, ...]]:
    """Return the KEYS and ARGV that depend on the queue alone."""
    topic = keys.job_topic(queue)
    queue_keys = (rq_keys.queue(queue), rq_keys.QUEUES, keys.served(queue), keys.wake(queue))
    return (*queue_keys, keys.log(topic), keys.topic(topic), keys.topics), (topic, keys.channel(topic), *limits_of(settings))


def _event(topic: str) -> bytes:
    """Return the event of a job, of now, up to the id of the job."""
    before, after = around_time(topic, process_name())
    return b'%s%s%s{"job":"' % (before, rq_time(datetime.now(UTC)).encode(), after)
