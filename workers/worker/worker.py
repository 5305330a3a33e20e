"""A worker: RQ's, with a gate before each job, a guard while it runs, and a process for its jobs that lives on after each."""

import os
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

import redis
import rq
from rq import worker_registration
from rq.utils import import_job_class

from notify.directory import Monitor
from notify.errors import ServerError
from notify.server import Client
from workers.errors import JobDefinitionError
from workers.fleet import LEASE_S, Leader, Lease
from workers.horse import Horse, RetireAfter
from workers.jobs import Job, JobFunctions, JsonSerializer, load_jobs
from workers.loss import HeldJobs, LossWatcher
from workers.queue import Queue
from workers.schedule import Cron, Scheduler, register_cron
from workers.scripts import ClaimScripts, JobScripts
from workers.worker.loop import RunningWorker
from workers.worker.waiter import JobWaiter

__all__ = ["Worker"]

IMPORT: Final = "NOTIFY_IMPORT"


class Worker(RunningWorker):
    """An ``rq.Worker`` that runs only what it was told to load, and stops a job the moment a service it needs is withdrawn.

    Args:
        queues: the queues to work on, by name or as `Queue`, in the order of their priority.
        connection: ``bus.redis``, or any ``redis.Redis``; by default that of the queues. The worker opens connections of
            its own like it.
        modules: dotted names of the modules whose jobs it may run; by default those of ``$NOTIFY_IMPORT``, with commas between, for
            who cannot say it otherwise: ``rq worker -w workers.Worker``.
        name: how it is known; by default a random one.
        retire: when the process of its jobs is replaced by a new one.
        lease_s: how many seconds it may be silent; then another worker takes it for dead, and its job is tried again or has failed.
        rq_options: as for ``rq.Worker``.

    Raises:
        ModuleLoadError: a module cannot be imported, or defines no job.
        JobDefinitionError: there is no queue to work on, ``lease_s`` is not above 0, or an option contradicts what our jobs are.
    """

    queue_class = Queue  # type: ignore[assignment]  # RQ declares the base class, and takes any other
    job_class = Job

    def __init__(
        self,
        queues: Any,
        name: str | None = None,
        *,
        connection: redis.Redis | None = None,
        modules: Collection[str] | None = None,
        retire: RetireAfter | None = None,
        lease_s: float = LEASE_S,
        **rq_options: Any,
    ) -> None:
        connection = _connection_of(queues) if connection is None else connection
        if connection is None:
            raise JobDefinitionError("a worker needs a connection: Worker(queues, connection=bus.redis, modules=[...])")
        if not lease_s > 0:
            raise JobDefinitionError(f"a lease of {lease_s:g} s is over before it begins: give more than 0")
        rq_options["job_class"] = _job_class(rq_options.get("job_class"), otherwise=self.job_class)
        works = rq_options.get("prepare_for_work", True)  # RQ also makes workers that only describe others (Worker.all)
        if modules is None:
            modules = _modules_of(os.environ) if works else ()
        self._functions: JobFunctions = load_jobs(modules)
        self._retire = retire or RetireAfter()
        self._lease_s = lease_s
        name = name or uuid4().hex
        # RQ lengthens the timeouts of the connection it is given: this one is the worker's alone.
        client = Client.of(connection).clone(name=name) if works else Client.of(connection)
        super().__init__(queues, name, connection=client, **{**rq_options, "serializer": JsonSerializer})
        self._client = client
        self._scripts = JobScripts(client)
        self._claims = ClaimScripts(
            client,
            name,
            heartbeat_s=self.job_monitoring_interval,
            idle_s=self.worker_ttl + 60,
            result_ttl_s=self.default_result_ttl,
        )
        self._horse = Horse(self._ride)
        self._waiter: JobWaiter | None = None
        self._loss_watcher: LossWatcher | None = None
        self._monitor: Monitor | None = None
        self._chores: Client | None = None
        self._leader: Leader | None = None
        self._lease: Lease | None = None

    def validate_queues(self) -> None:
        """Refuse queues that are not ours: what they enqueue for a job when it ends would need no service."""
        strange = next((queue for queue in self.queues if not isinstance(queue, self.queue_class)), None)
        if strange is not None:
            raise JobDefinitionError(f"{strange!r} is no workers.Queue: make it one, or give its name to the worker")

    def bootstrap(self, *args: Any, **kwargs: Any) -> None:
        """Register with RQ, and start what watches: the guard, the sweep of the directory, the lease and what a leader does."""
        if not self.queues:
            raise JobDefinitionError("a worker needs at least one queue: name it")
        self._leaving.clear()  # it may have worked before
        self._waiter = JobWaiter(self._client, name=self.name)
        self._install_signal_handlers()  # type: ignore[no-untyped-call]  # RQ does so later, and leaves traces if told to end before
        super().bootstrap(*args, **kwargs)
        # RQ has lengthened the timeouts of our own.
        self._chores = self._client.clone(name="leader", timeout_s=self._client.settings.command_timeout_s)
        self._leader = Leader([Scheduler(self._chores).run, Cron(self._chores).run, HeldJobs(self._chores).look_after])
        self._loss_watcher = LossWatcher(self._client, self._stop_run, returned=self._leader.hurry)
        self._loss_watcher.open()
        self._monitor = Monitor(self._client).open()
        self._leader.open()
        revive, lead = self._register_again, self._leader.lead_until
        self._lease = Lease(self._client, self.name, lease_s=self._lease_s, revive=revive, lead=lead)
        self._lease.open()
        register_cron(self._client, self.name, self._functions)

    def subscribe(self) -> None:
        """Listen to commands; this starts the first of the worker's threads, so whatever forks does it before."""
        self.procline("forks the processes of the jobs")  # type: ignore[no-untyped-call]  # RQ leaves it untyped
        self._horse.open()
        self.procline("starts")  # type: ignore[no-untyped-call]  # as above
        super().subscribe()  # type: ignore[no-untyped-call]  # RQ leaves it untyped

    def unsubscribe(self) -> None:
        if self.pubsub_thread:
            self.pubsub_thread.stop()  # before the reply wakes it, or it would wait for another one
        super().unsubscribe()  # type: ignore[no-untyped-call]  # RQ leaves it untyped

    def teardown(self) -> None:
        """Record the end that is still to be recorded, end the horse and what watches, and leave RQ."""
        self._leaving.set()
        try:
            self._record_end()
        finally:
            self._horse.close()
            for part in (self._monitor, self._loss_watcher, self._leader, self._chores, self._waiter, self._lease):
                if part is not None:
                    part.close()
            self._monitor = self._loss_watcher = self._waiter = self._lease = None
            super().teardown()  # type: ignore[no-untyped-call]  # RQ leaves it untyped
            self._client.hang_up()  # not for good: as with RQ, a worker may be told to work again

    def _register_again(self, client: Client) -> None:
        with client.pipeline() as pipe:
            pipe.hset(self.key, mapping=self.serialize())
            worker_registration.register(self, pipe)
            pipe.expire(self.key, self.worker_ttl + 60)
            pipe.execute()
        register_cron(client, self.name, self._functions)

    def _shutdown(self) -> None:
        """On SIGTERM or SIGINT: end after the job in hand. RQ raises in its signal handler, and loses a job that it just took."""
        self._stop_requested = True
        self._leaving.set()
        if self._waiter is not None:
            self._waiter.ring()
        # Not here: this may interrupt the main thread in the middle of a command.
        threading.Thread(target=self._note_shutdown, name="notify-shutdown", daemon=True).start()

    def _note_shutdown(self) -> None:
        with suppress(redis.RedisError):
            self.set_shutdown_requested_date()  # type: ignore[no-untyped-call]  # RQ leaves it untyped

    def wait_for_horse(self) -> Any:
        """Nothing: `teardown` does, after the second signal too."""
        return None, None, None

    def _start_scheduler(self, *args: Any, **kwargs: Any) -> None:
        """Enqueue what is due, and start no scheduler of RQ's: the leader among the workers is one, for all queues."""
        scheduler = Scheduler(self._client)
        with suppress(ServerError):  # the leader meets that too, and tries again
            while scheduler.run() == 0.0:
                continue


def _modules_of(environ: Mapping[str, str]) -> list[str]:
    return [name.strip() for name in environ.get(IMPORT, "").split(",") if name.strip()]


def _connection_of(queues: Any) -> redis.Redis | None:
    """That of the first queue which is more than a name."""
    given = queues if isinstance(queues, Collection) and not isinstance(queues, str | rq.Queue) else [queues]
    return next((queue.connection for queue in given if isinstance(queue, rq.Queue)), None)


def _job_class(named: Any, *, otherwise: type[rq.job.Job]) -> type[rq.job.Job]:
    """The class that is named, as RQ's programs name theirs wherever they make a worker: that means none."""
    try:
        found = import_job_class(named) if isinstance(named, str) else named
    except ValueError as exc:
        raise JobDefinitionError(f"there is no job_class {named!r}: {exc}") from exc
    found = otherwise if found in (None, rq.job.Job) else found
    if not issubclass(found, Job):
        raise JobDefinitionError(f"{found.__name__} is no workers.Job: leave job_class out, or derive it from workers.Job")
    return found
