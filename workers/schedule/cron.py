"""Jobs of a rhythm: workers say which ones they have loaded, and the leader enqueues them when they are due, once for each time.

The decision and the job are one step (``cron_enqueue.lua``), so it is once whoever falls over it. A time that went by while no
worker had loaded the job is made up for once, whatever the number of times.
"""

import logging
from typing import Any, Final

import msgspec

from notify.errors import ServerRefusedError
from notify.server import Client
from workers.jobs import CronJob, JobFunctions, definition_of
from workers.queue import Queue, new_job_of
from workers.scripts import LoadedJob, NewJob, ScheduleScripts

__all__ = ["Cron", "register_cron"]

LONGEST_WAIT_MS: Final = 5_000
"""What was announced meanwhile may be so much late, its first time; looking costs a command."""

log = logging.getLogger(__name__)


def register_cron(client: Client, worker: str, functions: JobFunctions) -> None:
    """Say which jobs of a rhythm a worker has loaded; they are due while it has its lease.

    Raises:
        ServerError: the server did not answer, or refused.
    """
    specs = _specs(functions)
    if not specs:
        return
    with client.translating("announcing what is to run again and again"):
        now: Any = client.time()
    loaded = []
    for name, spec in specs.items():
        due_ms = spec.schedule.next_after(now[0] * 1000 + now[1] // 1000)
        if due_ms is not None:
            loaded.append(LoadedJob(name, msgspec.json.encode(spec), due_ms))
    ScheduleScripts(client).cron_register(worker, list(specs), loaded)


class Cron:
    """A duty of the leader; any number of them may run at once, a job is enqueued once for each time.

    Args:
        client: for whoever calls `run`.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._scripts = ScheduleScripts(client)

    def run(self) -> float:
        """Enqueue what is due.

        Returns:
            Seconds until there is more, 5 at the most.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        due = self._scripts.cron_due(longest_wait_ms=LONGEST_WAIT_MS)
        for name, due_ms, written in due.jobs:
            try:
                self._enqueue(name.decode(), due_ms, msgspec.json.decode(written, type=CronJob), now_ms=due.now_ms)
            except (msgspec.DecodeError, ValueError) as exc:  # somebody else wrote it
                log.warning("what is to run as %r cannot be read, and is removed: %s", name, exc)
                self._forget(name)
            except ServerRefusedError as exc:  # as it would at each try, for this one alone
                log.warning("%r is due and cannot be enqueued: %s", name.decode(), exc)
        return due.wait_ms / 1000

    def _enqueue(self, name: str, due_ms: int, spec: CronJob, *, now_ms: int) -> None:
        next_ms = spec.schedule.next_after(now_ms)
        new_job = self._new_job_of(name, spec, due_ms)
        self._scripts.cron_enqueue(name, new_job, queue=spec.queue, due_ms=due_ms, next_ms=next_ms)

    def _new_job_of(self, name: str, spec: CronJob, due_ms: int) -> NewJob:
        queue = Queue(spec.queue, connection=self._client)
        job = queue.create_job(name, job_id=_job_id(name, due_ms))
        job.accept(spec.requirements)
        queue._prepare_for_queue(job)
        return new_job_of(job)

    def _forget(self, name: bytes) -> None:
        keys = self._scripts.keys
        with self._client.translating(f"removing {name!r}"), self._client.pipeline() as pipe:
            pipe.zrem(keys.cron_due, name)
            pipe.hdel(keys.cron, name)
            pipe.execute()


def _specs(functions: JobFunctions) -> dict[str, CronJob]:
    found = {}
    for name, function in functions.items():
        definition = definition_of(function)
        if definition is not None and definition.schedule is not None:
            found[name] = CronJob(definition.queue, definition.schedule, definition.requirements)
    return found


def _job_id(name: str, due_ms: int) -> str:
    """The same for everybody, and no other's: RQ takes ASCII letters, digits, ``_`` and ``-``, and a dotted path has no ``-``."""
    return f"{name.replace('.', '-').encode('punycode').decode().rstrip('-')}-{due_ms}"
