"""A worker: RQ's, with a gate before each job, a guard while it runs, and an end that is decided once."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Collection
from contextlib import suppress
from typing import Any
from uuid import uuid4

import msgspec
import redis
import rq
import rq.job
from rq.exceptions import StopRequested
from rq.intermediate_queue import IntermediateQueue

from notify.connection import Client
from notify.errors import ServerError
from notify.event import Event
from notify.monitor import Monitor
from notify.publisher import publish
from notify.scripts import Scripts
from notify.strict_json import Json
from workers import rq_keys
from workers.definition import JobFunctions, load_jobs
from workers.errors import JobDefinitionError, JobNotFoundError
from workers.guard import Guard, Run
from workers.jobs import Job
from workers.lifeline import die_with_parent
from workers.queue import Queue
from workers.scripts import JobScripts
from workers.serializer import JsonSerializer
from workers.unblock import end_wait

__all__ = ["Worker"]

log = logging.getLogger(__name__)


class Worker(rq.Worker):
    """An ``rq.Worker`` that runs only what it was told to load, and stops a job the moment a service it needs is withdrawn.

    Args:
        queues: the queues to work on, by name or as `Queue`, in the order of their priority.
        connection: ``bus.redis``, or any ``redis.Redis``; the worker opens connections of its own like it.
        modules: dotted names of the modules whose jobs it may run.
        name: how it is known; by default a random one.
        rq_options: as for ``rq.Worker``.

    Raises:
        ModuleLoadError: a module cannot be imported, or defines no job.
        JobDefinitionError: there is no queue to work on, or an option contradicts what our jobs are.
    """

    max_connection_wait_time = 5.0
    """Seconds between two attempts to reach the server, at the most."""
    queue_class = Queue  # type: ignore[assignment]  # RQ declares the base class, and takes any other
    job_class = Job

    def __init__(
        self,
        queues: Any,
        name: str | None = None,
        *,
        connection: redis.Redis | None = None,
        modules: Collection[str] = (),
        **rq_options: Any,
    ) -> None:
        if connection is None:
            raise JobDefinitionError("a worker needs a connection: Worker(queues, connection=bus.redis, modules=[...])")
        self._functions: JobFunctions = load_jobs(modules)
        name = name or uuid4().hex
        # RQ lengthens the timeouts of the connection it is given: this one is the worker's alone. It also makes workers
        # that only describe others (Worker.all); those need none.
        client = Client.of(connection).clone(name=name) if rq_options.get("prepare_for_work", True) else Client.of(connection)
        super().__init__(queues, name, connection=client, **{**rq_options, "serializer": JsonSerializer})
        self._client = client
        self._scripts = JobScripts(client)
        self._guard: Guard | None = None
        self._monitor: Monitor | None = None
        # The second SIGTERM ends the child in a signal handler, which may come while we hold it.
        self._horse_lock = threading.RLock()
        self._run: Run | None = None
        self._stop_reason = ""
        self._dequeuing = False

    def bootstrap(self, *args: Any, **kwargs: Any) -> None:
        if not self.queues:
            raise JobDefinitionError("a worker needs at least one queue: name it")
        self._install_signal_handlers()  # type: ignore[no-untyped-call]  # RQ does so later, and leaves traces if told to end before
        super().bootstrap(*args, **kwargs)
        self._guard = Guard(self._client, self._stop_run)
        self._guard.open()
        self._monitor = Monitor(Scripts(self._client)).open()

    def teardown(self) -> None:
        if not self.is_horse:
            for part in (self._monitor, self._guard):
                if part is not None:
                    part.close()
        super().teardown()  # type: ignore[no-untyped-call]  # RQ leaves it untyped
        if not self.is_horse:
            self._client.close()

    def dequeue_job_and_maintain_ttl(self, timeout: int | None, max_idle_time: int | None = None) -> Any:
        self._dequeuing = True
        try:
            return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)
        finally:
            self._dequeuing = False

    def heartbeat(self, *args: Any, **kwargs: Any) -> None:
        if self._dequeuing and self._stop_requested:
            raise StopRequested
        super().heartbeat(*args, **kwargs)

    def reorder_queues(self, reference_queue: Any) -> None:
        self._dequeuing = False  # RQ calls this first when it has taken a job
        super().reorder_queues(reference_queue)

    def _shutdown(self) -> None:
        """On SIGTERM or SIGINT: end after the job in hand. RQ raises in its signal handler, and loses a job that it just took."""
        self._stop_requested = True
        if self.scheduler:
            self.stop_scheduler()  # type: ignore[no-untyped-call]  # RQ leaves it untyped
        threading.Thread(target=self._end_wait, name="notify-end-wait", daemon=True).start()

    def _end_wait(self) -> None:
        with suppress(redis.RedisError):
            self.set_shutdown_requested_date()  # type: ignore[no-untyped-call]  # as above
        end_wait(self._client, waits=lambda: self._dequeuing)

    def unsubscribe(self) -> None:
        if self.pubsub_thread:
            self.pubsub_thread.stop()  # before the reply wakes it, or it would wait for another one
        super().unsubscribe()  # type: ignore[no-untyped-call]  # RQ leaves it untyped

    def _start_scheduler(self, *args: Any, **kwargs: Any) -> None:
        """Start RQ's scheduler, which opens connections of the class that it is given, and knows of no settings."""
        self.connection = redis.Redis(connection_pool=self._client.connection_pool)
        try:
            super()._start_scheduler(*args, **kwargs)
        finally:
            self.connection = self._client

    def execute_job(self, job: Any, queue: Any) -> None:
        """Run a job, unless the gate says that it must not start."""
        run = Run(job.id, uuid4().hex)
        answer = self._scripts.claim(job.id, queue.name, fence=run.fence, worker=self.name, needs=job.needs)
        if answer != "started":
            self.log.info("Worker %s: job %s does not start (%s)", self.name, job.id, answer)
            self.connection.lrem(queue.intermediate_queue_key, 1, job.id)
            return
        job.bind(self._functions)
        with self._horse_lock:
            self._run, self._stopped_job_id = run, None
        if self._guard is not None:
            self._guard.watch(run)
        try:
            self.prepare_execution(job)
            with self._horse_lock:
                stopped_already = self._stopped_job_id == job.id
                if not stopped_already:
                    self.fork_work_horse(job, queue)
            if stopped_already:
                self.handle_job_failure(job, queue, exc_string="stopped before it began")
            else:
                self.monitor_work_horse(job, queue)
        finally:
            if self._guard is not None:
                self._guard.release()
            self._run = None
        self.set_state(rq.worker.WorkerStatus.IDLE)

    def fork_work_horse(self, job: Any, queue: Any) -> None:
        super().fork_work_horse(job, queue)
        try:
            # The child does the same; whoever is first, a kill from here on hits its group and not ours.
            os.setpgid(self._horse_pid, self._horse_pid)
        except OSError:
            log.debug("the child %d is in a group of its own, or gone, already", self._horse_pid)

    def setup_work_horse_signals(self) -> None:
        super().setup_work_horse_signals()  # type: ignore[no-untyped-call]  # RQ leaves it untyped
        die_with_parent(parent=self.pid)

    def wait_for_horse(self) -> Any:
        """Wait for the child; it is reaped under the lock, so that nobody signals a process id that went to a stranger."""
        try:
            os.waitid(os.P_PID, self._horse_pid, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:
            return None, None, None
        with self._horse_lock:
            reaped = os.wait4(self._horse_pid, 0)
            self._horse_pid = 0
        return reaped

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """End the running job's process and all that it started."""
        with self._horse_lock:
            if not self._horse_pid:
                return
            try:
                os.killpg(self._horse_pid, sig)
            except (ProcessLookupError, PermissionError):
                log.debug("the child %d is gone already", self._horse_pid)

    def handle_payload(self, message: Any) -> None:
        """Obey a command from ``rq:pubsub:<worker>``; one that cannot be read is logged and harms nobody."""
        try:
            command = msgspec.json.decode(message["data"], type=dict[str, Any])
            if command.get("command") == "stop-job":
                self._obey_stop(str(command.get("job_id")))
            else:
                rq.command.handle_command(self, command)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, ServerError) as exc:
            log.warning("worker %s passes over a command that it cannot obey: %s", self.name, exc)

    def perform_job(self, job: Any, queue: Any) -> bool:
        try:
            return super().perform_job(job, queue)
        finally:
            # The child leaves by os._exit, which forgets what was printed but not written.
            sys.stdout.flush()
            sys.stderr.flush()

    def handle_job_success(self, job: Any, queue: Any, started_job_registry: Any) -> None:
        self._seal_or_end(job)
        super().handle_job_success(job, queue, started_job_registry)

    def handle_job_retry(self, job: Any, queue: Any, retry: Any, started_job_registry: Any, execution: Any) -> None:
        self._seal_or_end(job)
        super().handle_job_retry(job, queue, retry, started_job_registry, execution)

    def handle_job_failure(self, job: Any, queue: Any, started_job_registry: Any = None, exc_string: str = "") -> None:
        if self.is_horse:
            self._seal_or_end(job)
            super().handle_job_failure(job, queue, started_job_registry, exc_string)
        elif self._stopped_job_id == job.id:
            super().handle_job_failure(job, queue, started_job_registry, self._stop_reason or exc_string)
            self._tell_end(job)
        elif self._run is None or self._scripts.seal(job.id, fence=self._run.fence):
            super().handle_job_failure(job, queue, started_job_registry, exc_string)
        elif self._scripts.verdict(job.id, fence=self._run.fence) == "stopped":
            # The run ended by itself just after it was marked, before anybody could end it.
            job.execute_stopped_callback(self.death_penalty_class)
            self._stopped_job_id = job.id
            self.handle_job_failure(job, queue, started_job_registry, "stopped on request")
        else:
            # Another run has the job: only our traces are left to remove.
            with self.connection.pipeline() as pipeline:
                self.cleanup_execution(job, pipeline)
                pipeline.execute()

    def cleanup_execution(self, job: Any, pipeline: Any) -> None:
        super().cleanup_execution(job, pipeline)
        # A child that was stopped early left it there, and RQ would find it later and fail the job, or try it again.
        pipeline.lrem(IntermediateQueue.get_intermediate_queue_key(rq_keys.queue(job.origin)), 1, job.id)

    def _seal_or_end(self, job: Any) -> None:
        """In the child: decide that the run ends as it did. If it was stopped before, this process has nothing more to say."""
        if self._run is not None and not self._scripts.seal(job.id, fence=self._run.fence):
            os._exit(1)

    def _obey_stop(self, job_id: str) -> None:
        run = self._run
        if run is None or run.job_id != job_id:
            log.info("worker %s is asked to stop job %s, which it does not run", self.name, job_id)
            return
        self._scripts.stop(job_id, reason="stopped on request")  # Job.cancel did so already; RQ's own command did not
        verdict = self._scripts.verdict(job_id, fence=run.fence)
        if verdict != "go on":
            self._stop_run(run, verdict)

    def _stop_run(self, run: Run, verdict: str) -> None:
        """End the process of a run, if it is still this one that runs."""
        with self._horse_lock:
            if self._run is not run:
                return
            if verdict != "superseded":
                self._stopped_job_id = run.job_id
                self._stop_reason = f"{verdict.removeprefix('lost:')} is gone" if verdict.startswith("lost:") else "stopped on request"
            self.kill_horse()

    def _tell_end(self, job: Any) -> None:
        """Publish, when its process is dead, that a job was stopped."""
        topic = self._scripts.keys.job_topic(job.origin)
        try:
            outcome = job.outcome
            told: Json = {"job": job.id, **msgspec.structs.asdict(outcome)} if outcome else {"job": job.id, "status": "stopped"}
            publish(Scripts(self._client), Event(topic=topic, contents=told, source=self.name))
        except (ServerError, JobNotFoundError) as exc:
            log.warning("worker %s could not tell the end of job %s: %s", self.name, job.id, exc)
