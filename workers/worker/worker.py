"""The worker: an ``rq.Worker`` that claims jobs by one script, watches the services they need, and keeps one process for them."""

import os
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial
from signal import SIGKILL, Signals
from typing import Any, Final, NoReturn
from uuid import uuid4

import redis
import rq
from rq import worker_registration
from rq.command import handle_command
from rq.utils import import_job_class

from notify.errors import ServerError
from notify.server import Client
from workers.errors import JobDefinitionError
from workers.fleet import LEASE_S
from workers.horse import Horse, RetireAfter
from workers.jobs import Job, JobFunctions, JsonSerializer, load_jobs
from workers.queue import Queue
from workers.schedule import Scheduler, register_cron
from workers.scripts import ClaimScripts
from workers.worker.background import Background
from workers.worker.finish import FinishingWorker
from workers.worker.loop import ClaimLoop
from workers.worker.perform import JobTimeout, Performer
from workers.worker.record import EndRecorder
from workers.worker.stop import Stopper
from workers.worker.stopped_callback import StoppedCallback

__all__ = ["Worker"]

IMPORT: Final = "NOTIFY_IMPORT"


class Worker(FinishingWorker):
    """An ``rq.Worker`` that runs only the functions of given modules, and stops a job the moment a service it needs is withdrawn.

    Args:
        queues: the queues to work on, by name or as `Queue`, in the order of their priority.
        connection: ``bus.redis``, or any ``redis.Redis``; by default that of the queues. The worker opens connections of
            its own like it.
        modules: dotted names of the modules whose jobs it may run; by default those of ``$NOTIFY_IMPORT``, separated by commas,
            for programs that cannot pass them: ``rq worker -w workers.Worker``.
        name: the name of the worker; by default a random one.
        retire: when the process of its jobs is replaced by a new one.
        lease_s: seconds that it may be silent. Then another worker takes it for dead, and its job is tried again or has failed.
        rq_options: as for ``rq.Worker``.

    Raises:
        ModuleLoadError: a module cannot be imported, or defines no job.
        JobDefinitionError: there is no queue to work on, ``lease_s`` is not above 0, or an option contradicts what our jobs are.
    """

    queue_class = Queue  # type: ignore[assignment]  # RQ declares the base class, and takes any other
    job_class = Job
    death_penalty_class = JobTimeout

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
            raise JobDefinitionError(f"lease_s is {lease_s:g}: give the seconds that the worker may be silent, more than 0")
        rq_options["job_class"] = _job_class(rq_options.get("job_class"), otherwise=self.job_class)
        rq_options["serializer"] = JsonSerializer
        works = rq_options.get("prepare_for_work", True)  # RQ also makes workers that only describe others (Worker.all)
        if modules is None:
            modules = _modules_of(os.environ) if works else ()
        self._functions = load_jobs(modules)
        name = name or uuid4().hex
        client = Client.of(connection).clone(name=name) if works else Client.of(connection)
        super().__init__(queues, name, client=client, **rq_options)
        self._compose(self._functions, retire=retire or RetireAfter(), lease_s=lease_s)

    def _compose(self, functions: JobFunctions, *, retire: RetireAfter, lease_s: float) -> None:
        """Make the parts that the methods below hand on to."""
        current_run, scripts, client = self._current_run, self._scripts, self._client
        self._performer = Performer(self, current_run, functions=functions, retire=retire)
        self._horse = horse = Horse(self._performer.run)
        self._stopper = Stopper(
            current_run, horse, scripts=scripts, functions=functions, worker=self.name, kill=lambda *sig: self.kill_horse(*sig)
        )
        stopped_callback = StoppedCallback(self, current_run, horse=horse)
        self._recorder = EndRecorder(self, current_run, scripts=scripts, stopped_callback=stopped_callback)
        self._background = Background(client, self.name, lease_s=lease_s, stop=self._stopper.stop_run, revive=self._register_again)
        times_s = {"heartbeat_s": self.job_monitoring_interval, "idle_s": self.worker_ttl + 60}
        self._loop = ClaimLoop(
            self,
            current_run,
            claims=ClaimScripts(client, self.name, **times_s, result_ttl_s=self.default_result_ttl),
            horse=horse,
            stopper=self._stopper,
            recorder=self._recorder,
            background=self._background,
            functions=functions,
            wait_while_suspended=super().check_for_suspension,
        )

    def validate_queues(self) -> None:
        """Refuse queues of plain RQ: the jobs that they enqueue when a job ends would need no service."""
        strange = next((queue for queue in self.queues if not isinstance(queue, self.queue_class)), None)
        if strange is not None:
            raise JobDefinitionError(f"{strange!r} is no workers.Queue: make it one, or give its name to the worker")

    def bootstrap(self, *args: Any, **kwargs: Any) -> None:
        """Register with RQ, and start what the worker does beside its jobs."""
        if not self.queues:
            raise JobDefinitionError("a worker needs at least one queue: name it")
        self._loop.open()
        self._install_signal_handlers()  # type: ignore[no-untyped-call]  # RQ does so later: a signal before would leave traces
        super().bootstrap(*args, **kwargs)
        self._background.open()
        register_cron(self._client, self.name, self._functions)

    def subscribe(self) -> None:
        """Listen to commands. That starts the first thread of the worker, so the fork server is forked before."""
        self.procline("forks the processes of the jobs")  # type: ignore[no-untyped-call]  # RQ leaves it untyped
        self._horse.open()
        self.procline("starts")  # type: ignore[no-untyped-call]  # as above
        super().subscribe()  # type: ignore[no-untyped-call]  # RQ leaves it untyped

    def unsubscribe(self) -> None:
        if self.pubsub_thread:
            self.pubsub_thread.stop()  # before the reply wakes it, or it would wait for another one
        super().unsubscribe()  # type: ignore[no-untyped-call]  # RQ leaves it untyped

    def teardown(self) -> None:
        """Record the end that is still to be recorded, end the horse and the background parts, and leave RQ."""
        self._loop.leave()
        try:
            self._loop.record_returned()
        finally:
            self._horse.close()
            self._background.close()
            self._loop.close()
            super().teardown()  # type: ignore[no-untyped-call]  # RQ leaves it untyped
            self._client.hang_up()  # not for good: as with RQ, a worker may work again

    def check_for_suspension(self, burst: bool) -> None:
        """Do nothing: a claim finds out in the same step whether workers are suspended."""

    def run_maintenance_tasks(self) -> None:
        self._loop.record_returned()  # first: maintenance takes its time
        self._loop.retry_while_away(super().run_maintenance_tasks)

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Send a heartbeat, unless it is the one that RQ's loop sends after each job: the next claim is that."""
        if timeout is not None or pipeline is not None:
            super().heartbeat(timeout, pipeline)

    def dequeue_job_and_maintain_ttl(self, timeout: int | None, max_idle_time: int | None = None) -> Any:
        """Claim the next job and start it; see `ClaimLoop.next_job`."""
        return self._loop.next_job(timeout, max_idle_time)

    def execute_job(self, job: Any, queue: Any) -> None:
        """Wait for the end of the job that was claimed last; see `ClaimLoop.execute`."""
        self._loop.execute(job, queue)

    def handle_refused_end(self, job: Any, queue: Any) -> None:
        self._recorder.refused(job, queue)

    def leave_horse(self) -> NoReturn:
        self._performer.leave()

    def kill_horse(self, sig: Signals = SIGKILL) -> None:
        """End the process of the running job and all that it started. Without a running job, nothing is done."""
        self._stopper.kill(sig)

    def handle_payload(self, message: Any) -> None:
        """Obey a command from ``rq:pubsub:<worker>``; one that cannot be obeyed is logged and does no harm."""
        self._stopper.obey(message["data"], otherwise=partial(handle_command, self))

    def wait_for_horse(self) -> Any:
        """Do nothing: `teardown` waits for the horse, after a second signal too."""
        return None, None, None

    def _shutdown(self) -> None:
        """On SIGTERM or SIGINT, end after the current job. RQ raises in its signal handler, and loses a job that it just took."""
        self._stop_requested = True
        self._loop.leave()
        # In a thread: the handler may interrupt the main thread in the middle of a command.
        threading.Thread(target=self._note_shutdown, name="notify-shutdown", daemon=True).start()

    def _note_shutdown(self) -> None:
        with suppress(redis.RedisError):
            self.set_shutdown_requested_date()  # type: ignore[no-untyped-call]  # RQ leaves it untyped

    def _register_again(self, client: Client) -> None:
        """Register with RQ once more, after another worker took this one for dead."""
        with client.pipeline() as pipe:
            pipe.hset(self.key, mapping=self.serialize())
            worker_registration.register(self, pipe)
            pipe.expire(self.key, self.worker_ttl + 60)
            pipe.execute()
        register_cron(client, self.name, self._functions)

    def _start_scheduler(self, *args: Any, **kwargs: Any) -> None:
        """Enqueue the jobs that are due, and start no scheduler of RQ's: the leader among the workers is one, for all queues."""
        scheduler = Scheduler(self._client)
        with suppress(ServerError):  # the leader meets that too, and tries again
            while scheduler.run() == 0.0:
                continue


def _modules_of(environ: Mapping[str, str]) -> list[str]:
    return [name.strip() for name in environ.get(IMPORT, "").split(",") if name.strip()]


def _connection_of(queues: Any) -> redis.Redis | None:
    """Return the connection of the first queue that is given as an object."""
    given = queues if isinstance(queues, Collection) and not isinstance(queues, str | rq.Queue) else [queues]
    return next((queue.connection for queue in given if isinstance(queue, rq.Queue)), None)


def _job_class(named: Any, *, otherwise: type[rq.job.Job]) -> type[rq.job.Job]:
    """Return the job class of a worker. RQ's programs name RQ's own when none was chosen: then it is ``otherwise``.

    Raises:
        JobDefinitionError: the class cannot be found, or is not derived from ours.
    """
    try:
        found = import_job_class(named) if isinstance(named, str) else named
    except ValueError as exc:
        raise JobDefinitionError(f"there is no job_class {named!r}: {exc}") from exc
    found = otherwise if found in (None, rq.job.Job) else found
    if not issubclass(found, Job):
        raise JobDefinitionError(f"{found.__name__} is no workers.Job: leave job_class out, or derive it from workers.Job")
    return found
