"""Performs jobs in the horse: calls the function of a plain job directly, and has RQ's own code perform all other jobs."""

import _signal  # type: ignore[import-not-found]  # the C module under signal: faster, because it makes no enums of the numbers
import logging
import os
import signal
import time
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from notify.process import flush_spans
from notify.server import Client
from workers.errors import JobResultError
from workers.horse import INTERRUPT, Inbox, ProcessState, Reply, RetireAfter, Task, TaskLoop, flush_output, run_jobs
from workers.jobs import (
    DecodedCall,
    Job,
    JobFunctions,
    JobStopped,
    Sign,
    encode_result,
    execute,
    has_reported,
    lazy_job,
    plain_call,
    send_last_progress,
    signature_of,
)
from workers.rq import JobTimeoutException, Retry, execute_stopped_callback, running, with_execution
from workers.scripts import Ended, OwedCallback, Run, RunScripts
from workers.worker.callbacks import call_owed
from workers.worker.current_run import CurrentRun
from workers.worker.finish import FinishingWorker
from workers.worker.lost_call import lost_need
from workers.worker.past_call import PastCall
from workers.worker.processing import processed, processing
from workers.worker.side_by_side.perform import BesidePerformer
from workers.worker.side_by_side.rules import may_bypass_rq

__all__ = ["Performer"]

JOB_ANSWER_S: Final = 60.0
"""Seconds that a command in the code of a job may take, for example a BLPOP. The timeout of the job may end it before."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class Performer:
    """Performs the tasks that the worker gives to the horse, one at a time. It runs in the process of the horse.

    Args:
        worker: the worker, of which the horse has a copy; its RQ methods perform the jobs that are not plain.
        current_run: the current run.
        functions: the functions that may be called.
        retire: when the horse is replaced.
    """

    def __init__(self, worker: FinishingWorker, current_run: CurrentRun, *, functions: JobFunctions, retire: RetireAfter) -> None:
        self._worker = worker
        self._current_run = current_run
        self._stop_sign = current_run.stop_sign
        self._functions = functions
        self._retire = retire
        for function in functions.values():
            signature_of(function)  # now, so that each horse has it from the start
        self._job_client: Client | None = None
        """The connection of the code of jobs."""
        self._task: Task
        self._inbox: Inbox
        self._state = ProcessState()
        self._is_interruptible = False
        """True while `INTERRUPT` may raise `JobStopped`."""
        self._begun_beside = 0
        """How many runs have begun side by side with others in this process."""
        self._timeouts = 0
        """Of the worker, as the last task said."""
        self._must_retire = False
        """True if this process must end after the task: something was interrupted in it, or a callback failed."""

    def prepare(self) -> None:
        """Prepare in the fork server what each horse needs: horses share the memory of that. Nothing is connected or started here."""
        self._worker.become_horse()
        self._job_client = Client.of(self._worker.connection).clone(name=self._worker.name, timeout_s=JOB_ANSWER_S, is_shared=True)

    def run(self, inbox: Inbox) -> NoReturn:
        """Main function of the horse, after `prepare`: perform the tasks that come through the inbox, until the process ends."""
        self._worker.setup_work_horse_signals()
        os.environ["RQ_WORKER_ID"] = self._worker.name
        signal.signal(INTERRUPT, self._interrupt)
        pid = os.getpid()
        for signum in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, partial(self._end_unless_told_to_all, pid))
        self._worker.procline("runs jobs")  # type: ignore[no-untyped-call]  # RQ leaves it untyped
        self._inbox = inbox
        self._state = ProcessState()
        run_jobs(inbox, self.perform, state=self._state, retire=self._retire, rest=self._rest)

    def perform(self, task: Task) -> Reply:
        """Perform a task and return the reply to it. If the job is stopped meanwhile, this does not return: see `leave`."""
        self._task = task
        if task.timeouts > self._timeouts:
            self._timeouts = task.timeouts
            self._rest()  # or the job would wait a minute at a connection whose packets are lost, or for a server that is frozen
        if task.runs_beside:
            reply = self._perform_beside(task)
        elif task.owed is not None:
            reply = self._call_owed(task, task.owed)
        else:
            reply = self._call_on_stopped(task) if task.is_stopped else self._perform_run(task)
        return msgspec.structs.replace(reply, retires=True, ends_programs=True) if self._must_retire else reply

    def _rest(self) -> None:
        """Close the connections, which the next job that needs them opens again."""
        for client in (self._job_client, self._worker.connection):
            if isinstance(client, Client):
                client.hang_up()
        flush_spans()

    def leave(self, *, lost: str = "") -> NoReturn:
        """End the process without recording anything. If a stopped job has an ``on_stopped``, wait for the task to call that first.

        Args:
            lost: the need for whose loss the run was stopped, if this process found that; then the worker is told.
        """
        self._must_retire = True
        flush_output()
        if not lost and not (self._stop_sign.is_up and self._task.calls_back):
            os._exit(1)
        # Never return or raise: the caller may be RQ's code, which would record an exception as a failure of the job.
        self._inbox.reply(Reply(stopped=True, lost=lost, retires=not self._task.calls_back, ends_programs=True))
        if not self._task.calls_back:
            os._exit(0)
        run_jobs(self._inbox, self.perform, state=self._state, retire=self._retire, rest=self._rest)

    def _perform_run(self, task: Task) -> Reply:
        run = Run(task.job_id, task.fence)
        self._current_run.adopt(run)
        job = self._job_of(task)
        call = plain_call(task.fields, self._functions) if may_bypass_rq(self._worker) else None
        if call is None:
            return self._perform_by_rq(job, task)
        started_s = time.time()
        try:
            value = self._interruptible(partial(self._call, job, call))
        except BaseException as exc:  # RQ's code handles whatever a job raises
            if lost := self._lost_by(run, exc):
                return Reply(stopped=True, lost=lost)
            return self._perform_by_rq(job, task, PastCall(started_s, error=exc))
        ended_s = time.time()
        if isinstance(value, Retry):
            return self._perform_by_rq(job, task, PastCall(started_s, value=value))
        try:
            result = None if value is None else b64encode(encode_result(call.function, value))
        except JobResultError as exc:
            return self._perform_by_rq(job, task, PastCall(started_s, error=exc))
        return Reply(ended=Ended(run, started_s, ended_s, result, None if has_reported(job) else task.is_announced))

    def _perform_beside(self, first: Task) -> Reply:
        """Perform runs side by side, from a first one until none is left. Returns the reply to the last one."""
        os.environ.pop("RQ_JOB_ID", None)  # it would be that of the first one
        performer = BesidePerformer(
            self._worker, self._functions, job_of=self._job_of, by_rq=self._record_beside, end_if_forked=self._state.end_if_forked
        )
        tasks = TaskLoop(self._inbox, performer.perform, most=self._retire.jobs - self._begun_beside)
        try:
            return tasks.run(first)
        finally:
            self._begun_beside += tasks.begun

    def _record_beside(self, job: Job, task: Task, past_call: PastCall | None) -> Reply:
        self._task = task
        self._current_run.adopt(Run(task.job_id, task.fence))
        if past_call is not None:
            self._current_run.began_s -= time.time() - past_call.started_s
        return self._perform_by_rq(job, task, past_call)

    def _job_of(self, task: Task, sign: Sign | None = None) -> Job:
        return lazy_job(
            self._worker.job_class,
            task.job_id,
            task.fields,
            connection=self._job_client or self._worker.connection,
            functions=self._functions,
            stop_sign=sign or self._stop_sign,
            fence=task.fence,
        )

    def _call(self, job: Job, call: DecodedCall) -> Any:
        timeout = self._worker.death_penalty_class(call.timeout_s, JobTimeoutException, job_id=job.id)
        try:
            with running(job), timeout, processing(self._task):
                return execute(call.function, call.args, call.kwargs)
        finally:
            send_last_progress(job)

    def _end_unless_told_to_all(self, pid: int, signum: int, *_: object) -> None:
        """Ignore SIGTERM and SIGHUP in the horse, unless the stop ladder sends SIGTERM: a service manager sends them to all processes.

        The worker lets the job finish. A handler, and not ``SIG_IGN``, so that programs that the job starts do not inherit it; in a child
        that the job forks, with another ``pid``, the signal acts as by default.
        """
        if os.getpid() != pid or (signum == signal.SIGTERM and self._current_run.sigterm_sign.is_up):
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)

    def _interrupt(self, *_: object) -> None:
        if self._is_interruptible and self._stop_sign.is_up:
            raise JobStopped("the job is stopped")

    def _interruptible(self, function: Callable[[], T]) -> T:
        """Call a function while a stop of the job may raise `JobStopped` in it. If the job was stopped, this does not return."""
        self._is_interruptible = True
        try:
            return function()
        except JobTimeoutException:
            self._must_retire = True  # the timeout may have interrupted anything: no other job must run in this process
            raise
        finally:
            self._state.end_if_forked()
            self._is_interruptible = False
            if self._stop_sign.is_up:  # the run ends as stopped, whatever the function did
                self.leave()

    def _perform_unless_lost(self, run: Run, function: Callable[[], T]) -> T:
        """Call a function as `_interruptible` does. If its error is the loss of a service that the job needs, this does not return."""
        try:
            return self._interruptible(function)
        except Exception as exc:
            if lost := self._lost_by(run, exc):
                self.leave(lost=lost)
            raise

    def _lost_by(self, run: Run, error: BaseException) -> str:
        """Return the need whose loss an error of the job is, or empty. If the job is stopped meanwhile, this does not return."""
        _signal.alarm(0)  # the timeout is for the function
        need = lost_need(self._worker._scripts, run, error)
        if not need and self._stop_sign.is_up:
            self.leave()
        return need

    def _call_on_stopped(self, task: Task) -> Reply:
        job = self._job_of(task)
        try:
            with running(job):
                execute_stopped_callback(job, self._worker.death_penalty_class)
        except BaseException as exc:  # whatever the callback raises, also `SystemExit`: the job ends as stopped in any case
            self._must_retire = True
            log.warning("the on_stopped callback of job %s ended by %s: %s", task.job_id, type(exc).__name__, exc)
        return Reply()

    def _call_owed(self, task: Task, owed: OwedCallback) -> Reply:
        job = self._job_of(task)
        with running(job):
            self._must_retire = not call_owed(job, owed, timeouts=self._worker.death_penalty_class)
        return Reply()

    def _perform_by_rq(self, job: Any, task: Task, past_call: PastCall | None = None) -> Reply:
        """Have RQ's code perform a job, or only record its end if its function was called before."""
        job.origin  # noqa: B018  # parses the fields of the job
        if job.problem and past_call is None:
            return Reply(problem=f"job {job.id} cannot be run: {job.problem}")
        run, perform = Run(task.job_id, task.fence), _performing(job)
        if past_call is None:
            job.perform = partial(self._perform_unless_lost, run, partial(processed, task, perform))
        else:
            repeat = partial(past_call.repeat, job)
            job.perform = repeat if task.runs_beside else partial(self._interruptible, repeat)
        worker = self._worker
        worker.ensure_execution()
        if not task.is_announced:  # while the server is away, the job waits
            ttl_s, scripts = worker.get_heartbeat_ttl(job), RunScripts(worker._client)
            worker._recording.begin(job, lambda: scripts.announce_run(worker.name, run, ttl_s=ttl_s))
        queue = worker.queue_class(task.queue, connection=worker.connection, job_class=worker.job_class, serializer=worker.serializer)
        with running(job):  # for its callbacks as well
            with_execution(worker.perform_job, worker.execution)(job, queue)
        return Reply()


def _performing(job: Any) -> Callable[[], Any]:
    """Return `Job.perform` without its first command: a lost connection there would fail the job, and the claim has done it."""
    if type(job).perform is not Job.perform:
        perform: Callable[[], Any] = job.perform
        return perform

    def perform_claimed() -> Any:
        try:
            job._result = job._execute()
        finally:
            send_last_progress(job)
        return job._result

    return perform_claimed
