"""Puts a plain job on a queue: a new one without needs, at the end. Most jobs are so, and the server needs half the time for them."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from notify.events import PublishingScripts, limits_of
from notify.keys import Keys
from notify.server import Client, process_name, quoted
from notify.settings import Settings
from workers import rq_keys
from workers.rq import DEFAULT_FAILURE_TTL
from workers.scripts.runner import around_time

__all__ = ["FAILURE_TTL", "PlainEnqueueScript"]

FAILURE_TTL: Final = b"%d" % DEFAULT_FAILURE_TTL
"""The field ``failure_ttl`` of plain jobs; without it RQ keeps the results of failed jobs for ever."""
QUEUES_AT_ONCE: Final = 256
"""The queues whose keys a process keeps at hand."""


class PlainEnqueueScript(PublishingScripts):
    """Runs ``enqueue_plain.lua``, which has the same effect as ``enqueue.lua`` for such jobs."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, "workers.scripts", prelude=_prelude(client.settings, client.own_keys))
        self._is_told = client.settings.tells("enqueued")

    def enqueue(self, queue: str, job_id: str, fields: Mapping[Any, Any]) -> None:
        """Put a job on the end of a queue.

        Args:
            queue: the name of the queue.
            job_id: the id of the job, which was made just now.
            fields: the hash of the job, see `Condition`.

        Raises:
            ServerUnreachableError: no answer. The job may be on the queue.
            ServerRefusedError: the server answered with an error.
        """
        place, at = _place(self.keys, queue, process_name()), fields[b"enqueued_at"]
        event = b"%s%s%s" % (place.before, at, place.after) if self._is_told else b""
        own = (job_id, event, at, fields[b"data"], fields[b"description"], fields[b"origin"], fields[b"timeout"])
        self.run("enqueue_plain", place.keys, own, action=place.action)


class _Place(NamedTuple):
    """What depends on the queue alone: the KEYS, the event before and after its time up to the id of the job, the action in words."""

    keys: tuple[str, ...]
    before: bytes
    after: bytes
    action: str


@lru_cache(QUEUES_AT_ONCE)
def _place(keys: Keys, queue: str, source: str) -> _Place:
    topic = keys.job_topic(queue)
    before, after = around_time(topic, source)
    all_keys = (rq_keys.queue(queue), keys.served(queue), keys.wake(queue), keys.log(topic), keys.topic(topic))
    return _Place(all_keys, before, after + b'{"job":"', f"enqueueing on {queue!r}")


def _prelude(settings: Settings, keys: Keys) -> str:
    """Return what is the same for all calls, as Lua."""
    texts = {
        "JOB": rq_keys.job(""),
        "QUEUES": rq_keys.QUEUES,
        "TOPICS": keys.topics,
        "TOPIC": keys.job_topic(""),
        "CHANNEL": keys.channel(""),
    }
    length, log_ms, head_ms = limits_of(settings)
    numbers: dict[str, float] = {
        "LENGTH": length,
        "LOG_MS": log_ms,
        "HEAD_MS": head_ms,
        "TOUCHED_MS": min(60_000, log_ms / 10),
        "FAILURE_TTL": DEFAULT_FAILURE_TTL,
    }
    lines = [*(f"local {name} = {quoted(text)}" for name, text in texts.items()), *(f"local {name} = {n}" for name, n in numbers.items())]
    return "\n".join([*lines, ""])
