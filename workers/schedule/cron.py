"""Recurring jobs: workers register those they have loaded, and the leader enqueues each once per due time.

One script (``cron_enqueue.lua``) checks the due time and enqueues the job, so that a crash cannot lose or repeat a job. If several due
times pass while no worker has loaded a job, it is enqueued once for all of them. A job is enqueued only where a worker listens to its
queue: otherwise the leader raises an alarm, in the log and on the topic ``cron``.
"""

import logging
import time
from contextlib import suppress
from typing import Any, Final

import msgspec

from notify import Json
from notify.errors import ServerRefusedError
from notify.events import Event, EventScripts, publish
from notify.keys import CRON_TOPIC
from notify.process import producing
from notify.server import Client
from workers.jobs import CronJob, JobFunctions, definition_of, read_cron_job
from workers.queue import Queue, new_job_of
from workers.scripts import DueJobs, LoadedJob, NewJob, ScheduleScripts

__all__ = ["Cron", "register_cron"]

LONGEST_WAIT_MS: Final = 5_000
"""The longest pause between two calls of `Cron.run`. The first run of a job that is registered meanwhile may be that late."""

log = logging.getLogger(__name__)


def register_cron(client: Client, worker: str, functions: JobFunctions) -> None:
    """Register the recurring jobs that a worker has loaded. They are enqueued while the worker has its lease.

    If a job is new, an event on the topic ``cron`` wakes the leader, which may wait longer than the job.

    Raises:
        ServerError: Redis did not answer, or refused.
    """
    cron_jobs = _cron_jobs(functions)
    if not cron_jobs:
        return
    with client.translating("registering recurring jobs"):
        now: Any = client.time()
    loaded = []
    for name, cron_job in cron_jobs.items():
        due_ms = cron_job.schedule.next_after(now[0] * 1000 + now[1] // 1000)
        if due_ms is not None:
            loaded.append(LoadedJob(name, msgspec.json.encode(cron_job), due_ms))
    if ScheduleScripts(client).cron_register(worker, list(cron_jobs), loaded):
        _publish(client, {"change": "registered", "worker": worker, "functions": list[Json](sorted(cron_jobs))})


class Cron:
    """A duty of the leader: enqueues recurring jobs. If several workers run it at once, a job is still enqueued once per due time.

    Args:
        client: the client of the thread that calls `run`.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._scripts = ScheduleScripts(client)

    def run(self) -> float:
        """Enqueue the recurring jobs that are due.

        Returns:
            Seconds until the next job is due, 5 at the most.

        Raises:
            ServerError: Redis did not answer, or refused.
        """
        began = time.monotonic()
        due = self._scripts.cron_due(longest_wait_ms=LONGEST_WAIT_MS)
        if due.back_ms:
            self._plan_anew(due)
            return 0.0
        next_ms = due.now_ms + due.wait_ms
        for name, due_ms, encoded in due.jobs:
            try:
                next_ms = min(next_ms, self._enqueue(name.decode(), due_ms, read_cron_job(encoded), now_ms=due.now_ms) or next_ms)
            except ValueError as exc:  # another program wrote the entry
                log.warning("the recurring job %r cannot be read and is removed: %s", name, exc)
                self._forget(name)
            except ServerRefusedError as exc:  # Redis may refuse this job at every attempt; the other jobs must not wait for it
                log.warning("the recurring job %r is due, but Redis refused to enqueue it: %s", name.decode(), exc)
        return max(0.0, (next_ms - due.now_ms) / 1000 - (time.monotonic() - began))

    def _enqueue(self, name: str, due_ms: int, cron_job: CronJob, *, now_ms: int) -> int | None:
        """Enqueue a job for one of its times, and return when it is due next."""
        next_ms, queue = cron_job.schedule.next_after(now_ms), cron_job.queue
        with producing("enqueue", queue, attributes={"message.id": _job_id(name, due_ms)}) as span:
            new_job = self._new_job_of(name, cron_job, due_ms)
            done = self._scripts.cron_enqueue(name, new_job, queue=queue, due_ms=due_ms, next_ms=next_ms, overlap=cron_job.overlap)
            if span is not None:
                span.set_attribute("messaging.notify.answer", done.answer)
        if done.answer == "again":
            return due_ms + 1
        if done.is_news:
            is_unserved = done.answer == "unserved"
            if is_unserved:
                log.warning(
                    "the recurring job %r is due, and no worker listens to its queue %r: start one with notify worker %s",
                    name,
                    queue,
                    queue,
                )
            else:
                log.info("a worker listens to queue %r again: the recurring job %r goes on", queue, name)
            change = "unserved" if is_unserved else "served"
            _publish(self._client, {"change": change, "function": name, "queue": queue, "due_ms": due_ms})
        return next_ms

    def _plan_anew(self, due: DueJobs) -> None:
        """Let recurring jobs go on after the clock of the server was put back: they would all wait until it is where it was."""
        keys = self._scripts.keys
        with self._client.translating("reading recurring jobs"), self._client.pipeline() as pipe:
            pipe.hgetall(keys.cron)
            pipe.zrange(keys.cron_due, 0, -1, withscores=True)
            encoded, planned = pipe.execute()
        changes = []
        for name, due_ms in planned:
            with suppress(ValueError):  # another program wrote it: it is removed when it is due
                next_ms = read_cron_job(encoded.get(name, b"")).schedule.next_after_jump(int(due_ms), due.now_ms, back_ms=due.back_ms)
                changes.append((name, int(due_ms), next_ms))
        log.warning("the clock of the server was put back by %g s: recurring jobs go on by the new time", due.back_ms / 1000)
        self._scripts.cron_plan(changes)

    def _new_job_of(self, name: str, cron_job: CronJob, due_ms: int) -> NewJob:
        queue = Queue(cron_job.queue, connection=self._client)
        job = queue.create_job(name, job_id=_job_id(name, due_ms))
        job.accept(cron_job.requirements)
        queue._prepare_for_queue(job)
        return new_job_of(job)

    def _forget(self, name: bytes) -> None:
        keys = self._scripts.keys
        with self._client.translating(f"removing the recurring job {name!r}"), self._client.pipeline() as pipe:
            pipe.zrem(keys.cron_due, name)
            pipe.hdel(keys.cron, name)
            pipe.execute()


def _cron_jobs(functions: JobFunctions) -> dict[str, CronJob]:
    found = {}
    for name, function in functions.items():
        definition = definition_of(function)
        if definition is not None and definition.schedule is not None:
            found[name] = CronJob(definition.queue, definition.schedule, definition.requirements, definition.overlap)
    return found


def _publish(client: Client, contents: dict[str, Json]) -> None:
    try:
        publish(EventScripts(client), Event(topic=CRON_TOPIC, contents=contents))
    except ServerRefusedError as exc:  # the user may lack the right to the channel; the log has told it
        log.warning("an event about recurring jobs could not be published: %s", exc)


def _job_id(name: str, due_ms: int) -> str:
    """Return the id of the job for one due time: unique, and the same in every process.

    RQ allows ASCII letters, digits, ``_`` and ``-`` in an id. A dotted path has no ``-``, so that it can stand for the dot.
    """
    return f"{name.replace('.', '-').encode('punycode').decode().rstrip('-')}-{due_ms}"
