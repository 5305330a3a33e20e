"""The worker: an ``rq.Worker`` that claims jobs by one Lua script, watches the services they need, and keeps one process to run them."""

import logging
import os
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from signal import SIGKILL, Signals
from typing import Any, Final, NoReturn
from uuid import uuid4

import redis

from notify.errors import NotifyError
from notify.server import Client, is_of_another_type
from workers.errors import JobDefinitionError
from workers.fleet import LEASE_S, leave_name, register_again, take_name
from workers.horse import RetireAfter
from workers.jobs import Job, JsonSerializer, load_jobs
from workers.line import window_of
from workers.queue import Queue
from workers.rq import PlainJob, PlainQueue, import_job_class
from workers.schedule import Scheduler, register_cron
from workers.scripts import ClaimOptions, History, text_of
from workers.worker.end_signals import EndSignals
from workers.worker.finish import FinishingWorker
from workers.worker.job_timeout import JobTimeout
from workers.worker.parts import WorkerParts
from workers.worker.start import start_step

__all__ = ["Worker"]

IMPORT: Final = "NOTIFY_IMPORT"
"""The environment variable that names the modules whose jobs a worker may run, separated by commas."""
MAX_JOBS_AT: Final = 4
"""The place of ``max_jobs`` among the arguments of RQ's ``work``."""

log = logging.getLogger(__name__)


class Worker(FinishingWorker):
    """An ``rq.Worker`` that runs only functions marked with ``@job``, and stops a job when a service that the job needs is withdrawn.

    Args:
        queues: the queues to work on, by name or as `Queue`, in the order of their priority.
        connection: ``bus.redis``, or any ``redis.Redis``; by default the connection of the first queue given as an object. The
            worker opens its own connections to the same server.
        modules: dotted names of the modules whose jobs the worker may run; by default those of ``$NOTIFY_IMPORT``, for programs
            that cannot pass them, such as ``rq worker -w workers.Worker``.
        name: the name of the worker; by default a random one.
        retire: when the process that runs the jobs is replaced by a new one.
        lease_s: seconds that the worker may be silent. After that, another worker takes it for dead: its job is tried again, or fails.
        skip_foreign: whether pickled jobs of plain RQ stay in their place in the queue, for RQ's own workers. Otherwise they fail.
        window: how many jobs the worker claims ahead of their turn, and 1: none; by default short ones only, or ``$NOTIFY_WINDOW`` of all.
        history: ``lean`` leaves out the events of starts and successes, results that are ``None``, and RQ's records of runs.
        told: called once when the worker was told to end, with whether it still runs a job.
        rq_options: as for ``rq.Worker``.

    Raises:
        ModuleLoadError: a module cannot be imported, or defines no job.
        JobDefinitionError: no connection, ``lease_s`` not above 0, a queue that is no `Queue`, no such ``job_class``; of `work`: no queue.
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
        skip_foreign: bool = False,
        window: int | None = None,
        history: History = "full",
        told: Callable[[bool], object] | None = None,
        **rq_options: Any,
    ) -> None:
        connection = _checked_connection(connection, queues, lease_s=lease_s)
        rq_options |= {"job_class": _job_class(rq_options.get("job_class"), default=self.job_class), "serializer": JsonSerializer}
        will_work = rq_options.get("prepare_for_work", True)  # false for an object of Worker.all(), which only describes a worker
        modules = (_modules_of(os.environ) if will_work else ()) if modules is None else modules
        self.functions = load_jobs(modules)
        name = name or uuid4().hex
        client = _worker_client(connection, name=name) if will_work else Client.of(connection)
        super().__init__(queues, name, client=client, connects=told is None, **rq_options)
        parts = WorkerParts(
            self,
            current_run=self._current_run,
            scripts=self._scripts,
            client=self._client,
            functions=self.functions,
            retire=retire or RetireAfter(),
            lease_s=lease_s,
            claims=ClaimOptions(skip_foreign=skip_foreign, history=history),
            window=window_of(os.environ) if window is None else window,
            revive=partial(_register_again, self),
            wait_while_suspended=super().check_for_suspension,
            told=told,
        )
        self._hold, self._performer, self._horse, self._stopper = parts.hold, parts.performer, parts.horse, parts.stopper
        self._recorder, self._background, self._loop, self._commands = parts.recorder, parts.background, parts.loop, parts.commands
        self._signals = EndSignals(self, self._current_run, is_in_pool=told is not None)

    def validate_queues(self) -> None:
        """Refuse queues of plain RQ: they enqueue the dependents of a job without checking the services that these need."""
        _check_queues(self.queues, self.queue_class)

    def bootstrap(self, *args: Any, **kwargs: Any) -> None:
        """Register with RQ, and start the background parts of the worker."""
        if not self.queues:
            raise JobDefinitionError("a worker needs at least one queue: pass its name")
        self._loop.open()
        self._stopper.is_ending = False
        self._install_signal_handlers()  # RQ does so later: a signal before that would kill the worker while it is registered
        start_step(self, partial(_connect, self))
        super().bootstrap(*args, **kwargs)
        start_step(self, self._background.open)
        start_step(self, partial(register_cron, self._client, self.name, self.functions))

    def register_birth(self) -> None:
        self._hold.begin(take_name(self, self._client, is_leaving=lambda: self._stop_requested))

    def register_death(self) -> None:
        leave_name(self, self._client)

    def subscribe(self) -> None:
        """Subscribe to the channel of commands. That starts the first thread of the worker, so the fork server is forked before it."""
        self.procline("forks the processes of the jobs")
        self._horse.open()
        self.procline("starts")
        start_step(self, self._commands.open)

    def unsubscribe(self) -> None:
        self._commands.close()

    def teardown(self) -> None:
        """Record the end of the last run if that is still to be done, end the horse and the background parts, and deregister from RQ."""
        self._loop.leave()
        try:
            self._loop.drain()
        finally:
            self._horse.close()
            self._background.close(unfinished=self._loop.unfinished())
            self._loop.close()
            super().teardown()  # type: ignore[no-untyped-call]  # RQ leaves it untyped
            self._client.hang_up()  # not closed: as with RQ, `work` may be called again
        self._hold.raise_if_lost()
        self._signals.exit_if_forced()

    def work(self, *args: Any, **options: Any) -> bool:
        self._loop.ahead.is_limited = options.get("max_jobs") is not None or len(args) > MAX_JOBS_AT
        return super().work(*args, **options)

    def check_for_suspension(self, burst: bool) -> None:
        """Do nothing: the claim script checks whether workers are suspended."""

    def run_maintenance_tasks(self) -> None:
        """Run RQ's maintenance, which cleans registries. It is tried again while the server is away."""
        self._loop.record_returned()  # first: maintenance may take long
        self._loop.maintain(super().run_maintenance_tasks)

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Send a heartbeat. Without arguments, as RQ's loop calls it after each job, do nothing: the next claim is the heartbeat."""
        if timeout is not None or pipeline is not None:
            _unless_spoilt(self, partial(super().heartbeat, timeout, pipeline))

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
        """Send a signal to the process of the running job and to all processes that it started. Without a running job, do nothing."""
        self._stopper.kill(sig)

    def handle_payload(self, message: Any) -> None:
        """Obey a command that was published on ``rq:pubsub:<worker>``. A command that cannot be obeyed is logged and ignored."""
        self._stopper.obey(message["data"], otherwise=self._signals.obey)

    def procline(self, message: str) -> None:
        """Set the title of the process, unless it has other workers too."""
        if self.is_horse or not self._signals.are_elsewhere:
            super().procline(message)  # type: ignore[no-untyped-call]  # RQ leaves it untyped

    def request_force_stop(self, signum: int, frame: Any) -> None:
        self._signals.force(signum, frame)

    def _install_signal_handlers(self) -> None:
        self._signals.install()

    def _shutdown(self) -> None:
        """On SIGTERM or SIGINT, end after the current job. In an idle worker RQ's handler raises, which can lose a job just claimed."""
        self._stop_requested = True
        self._loop.leave()
        threading.Thread(target=_note_shutdown, args=(self,), name="notify-shutdown", daemon=True).start()

    def _start_scheduler(self, *args: Any, **kwargs: Any) -> None:
        start_step(self, Scheduler(self._client).run_all)  # not RQ's scheduler: the leader among the workers schedules for all queues


def _connect(worker: Worker) -> None:
    """Open the connection that RQ's code uses, and have RQ find out its address, unless the constructor has done it."""
    worker._client.ping()
    if not worker._may_connect:
        worker._may_connect = True
        worker._set_ip_address(worker._client)


def _unless_spoilt(worker: Worker, beat: Callable[[], object]) -> None:
    """Send a heartbeat to RQ, unless the key of the worker holds another type. Then the claim fails at once, and says so."""
    try:
        beat()
    except redis.ResponseError as exc:
        if not is_of_another_type(exc):
            raise
        log.warning("worker %s sends no heartbeat to RQ, because its key holds another type: %s", worker.name, exc)


def _note_shutdown(worker: Worker) -> None:
    """Record the request to end, in a thread: the handler of the signal may interrupt the main thread in the middle of a command."""
    with suppress(redis.RedisError, NotifyError):  # it is shown to people only, and the worker ends without it
        if not worker._hold.is_replaced():
            worker.set_shutdown_requested_date()  # type: ignore[no-untyped-call]  # RQ leaves it untyped


def _register_again(worker: Worker, client: Client) -> None:
    """Register a worker with RQ once more, after another one took it for dead."""
    held = worker._loop.held()  # by these, its jobs are found if it dies
    runs: dict[Any, Any] = {"state": "busy", "current_job": held[0].job_id, "ahead": text_of(held)} if held else {}
    register_again(worker, client, runs)
    register_cron(client, worker.name, worker.functions)


def _worker_client(connection: redis.Redis, *, name: str) -> Client:
    """Return a client of its own for a worker, or raise `SettingsError` if the server is a fake one, which other processes do not see."""
    client = Client.of(connection)
    client.require_server("a worker, which runs jobs in other processes,")
    return client.clone(name=name, is_shared=True)


def _modules_of(environ: Mapping[str, str]) -> list[str]:
    return [name.strip() for name in environ.get(IMPORT, "").split(",") if name.strip()]


def _checked_connection(connection: redis.Redis | None, queues: Any, *, lease_s: float) -> redis.Redis:
    """Return the connection of a worker: that of the first queue that is given as an object, if it was given none."""
    if connection is None:
        given = queues if isinstance(queues, Collection) and not isinstance(queues, str | PlainQueue) else [queues]
        connection = next((queue.connection for queue in given if isinstance(queue, PlainQueue)), None)
    if connection is None:
        raise JobDefinitionError("a worker needs a connection: Worker(queues, connection=bus.redis, modules=[...])")
    if not lease_s > 0:
        raise JobDefinitionError(f"lease_s is {lease_s:g}: give the seconds that the worker may be silent, more than 0")
    return connection


def _check_queues(queues: Collection[Any], queue_class: type[Any]) -> None:
    foreign = next((queue for queue in queues if not isinstance(queue, queue_class)), None)
    if foreign is not None:
        raise JobDefinitionError(f"{foreign!r} is not a workers.Queue: pass a workers.Queue, or the name of the queue")


def _job_class(chosen: Any, *, default: type[PlainJob]) -> type[PlainJob]:
    """Return the job class of a worker: ``default`` if none was chosen, or RQ's own, which RQ's programs pass if none was chosen.

    Raises:
        JobDefinitionError: the class cannot be imported, or is not derived from `Job`.
    """
    try:
        job_class = import_job_class(chosen) if isinstance(chosen, str) else chosen
    except ValueError as exc:
        raise JobDefinitionError(f"job_class {chosen!r} cannot be imported: {exc}") from exc
    job_class = default if job_class in (None, PlainJob) else job_class
    if not issubclass(job_class, Job):
        raise JobDefinitionError(f"{job_class.__name__} is not a workers.Job: leave job_class out, or derive it from workers.Job")
    return job_class
