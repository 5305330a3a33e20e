"""Jobs of a rhythm: workers say which ones they have loaded, and the leader enqueues them when they are due, once for each time.

The decision and the job are one step (``cron_enqueue.lua``), so it is once whoever falls over it. A time that went by while no
worker had loaded the job is made up for once, whatever the number of times.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from notify.errors import ServerRefusedError
from notify.server import Client, ScriptRunner
from workers import rq_keys
from workers.jobs import CronJob, JobFunctions, definition_of
from workers.queue import Queue, new_job_of
from workers.scripts import JobScriptRunner, NewJob

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
    scripts = ScriptRunner(client, "workers.scripts")
    with client.translating("announcing what is to run again and again"):
        now: Any = client.time()
    args: list[str | bytes | int] = [worker, msgspec.json.encode(list(specs))]
    for name, spec in specs.items():
        due_ms = spec.schedule.next_after(now[0] * 1000 + now[1] // 1000)
        if due_ms is not None:
            args += (name, msgspec.json.encode(spec), due_ms)
    keys = [scripts.keys.cron, scripts.keys.cron_due, scripts.keys.cron_workers]
    scripts.run("cron_register", keys, args, action="announcing what is to run again and again")


class Cron:
    """A duty of the leader; any number of them may run at once, a job is enqueued once for each time.

    Args:
        client: for whoever calls `run`.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._scripts = JobScriptRunner(client)
        keys = self._scripts.keys
        self._keys = [keys.cron, keys.cron_due, keys.cron_workers, keys.cron_last, keys.leases]

    def run(self) -> float:
        """Enqueue what is due.

        Returns:
            Seconds until there is more, 5 at the most.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        now, wait_ms, *due = self._scripts.run("cron_due", self._keys, [LONGEST_WAIT_MS], action="looking what is due by its rhythm")
        for name, due_ms, written in zip(due[::3], due[1::3], due[2::3], strict=True):
            try:
                self._enqueue(name.decode(), int(due_ms), msgspec.json.decode(written, type=CronJob), now_ms=int(now))
            except (msgspec.DecodeError, ValueError) as exc:  # somebody else wrote it
                log.warning("what is to run as %r cannot be read, and is removed: %s", name, exc)
                self._forget(name)
            except ServerRefusedError as exc:  # as it would at each try, for this one alone
                log.warning("%r is due and cannot be enqueued: %s", name.decode(), exc)
        return int(wait_ms) / 1000

    def _enqueue(self, name: str, due_ms: int, spec: CronJob, *, now_ms: int) -> None:
        next_ms = spec.schedule.next_after(now_ms)
        entry = self._entry_of(name, spec, due_ms)
        ours = self._scripts.keys
        keys = [ours.cron_due, ours.cron_last, rq_keys.QUEUES, rq_keys.queue(spec.queue), rq_keys.job(entry.job_id)]
        args = [name, due_ms, next_ms or "", entry.job_id, spec.queue, entry.needs, *_flat(entry.fields)]
        self._scripts.run_with_common_args("cron_enqueue", keys, args, action=f"enqueueing {name!r}, which is due")

    def _entry_of(self, name: str, spec: CronJob, due_ms: int) -> NewJob:
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


def _flat(fields: Mapping[str, Any]) -> list[str | bytes | int]:
    """Fields and values as RQ writes them."""
    flat: list[str | bytes | int] = []
    for field, value in fields.items():
        if value is not None:
            flat += (field, value if isinstance(value, bytes | str) else str(value))
    return flat
