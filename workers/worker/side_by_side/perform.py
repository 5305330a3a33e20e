"""Performs a job in the event loop of the horse, side by side with others."""

import asyncio
import time
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from typing import Any

from workers.errors import JobResultError
from workers.horse import Reply, RunningTask, Task
from workers.jobs import DecodedCall, Job, JobFunctions, Sign, begin, call_in, encode_result, ends_plainly, has_reported, send_last_progress
from workers.rq import JobTimeoutException, Retry, own_current_job, running
from workers.scripts import Ended, Run
from workers.worker.finish import FinishingWorker
from workers.worker.lost_call import lost_need
from workers.worker.past_call import PastCall
from workers.worker.processing import processing

__all__ = ["BesidePerformer"]


class BesidePerformer:
    """Performs runs in the event loop of the horse. What RQ's code records of one, it records while the loop waits.

    Args:
        worker: the copy of the worker in the horse.
        functions: the functions that may be called.
        job_of: returns the job of a task, with what tells it that it is being stopped.
        by_rq: has RQ's code record the end of a call that is over, or refuse a call that cannot be read.
        end_if_forked: ends this process if it is a child that a job has forked.
    """

    def __init__(
        self,
        worker: FinishingWorker,
        functions: JobFunctions,
        *,
        job_of: Callable[[Task, Sign], Job],
        by_rq: Callable[[Job, Task, PastCall | None], Reply],
        end_if_forked: Callable[[], None],
    ) -> None:
        self._worker, self._functions = worker, functions
        self._job_of, self._by_rq = job_of, by_rq
        self._end_if_forked = end_if_forked

    async def perform(self, beside: RunningTask) -> Reply:
        """Perform a task, and return the reply to it."""
        task = beside.task
        own_current_job(task.fence)
        job = self._job_of(task, beside)
        call = call_in(task.fields, self._functions)
        if call is None:
            return self._by_rq(job, task, None)
        started_s, value, error = time.time(), None, None
        try:
            with running(job), processing(task):
                value = await _within(call.timeout_s, beside, partial(begin, call.function, call.args, call.kwargs))
        except BaseException as exc:  # RQ's code handles whatever a job raises
            error = exc
        finally:
            beside.is_interruptible = False  # from here on no CancelledError comes
            self._end_if_forked()
        send_last_progress(job)
        if beside.is_up:
            return Reply(stopped=True)
        run = Run(task.job_id, task.fence)
        if error is not None and task.fields.get(b"needs"):
            lost = await _in_a_thread(partial(lost_need, self._worker._scripts, run, error))
            if lost or beside.is_up:
                return Reply(stopped=True, lost=lost)
        return self._end(job, task, run, call, PastCall(started_s, value=value, error=error))

    def _end(self, job: Job, task: Task, run: Run, call: DecodedCall, past: PastCall) -> Reply:
        if past.error is None and not isinstance(past.value, Retry) and ends_plainly(task.fields):
            try:
                result = None if past.value is None else b64encode(encode_result(call.function, past.value))
            except JobResultError as exc:
                past = PastCall(past.started_s, error=exc)
            else:
                return Reply(ended=Ended(run, past.started_s, time.time(), result, None if has_reported(job) else task.is_announced))
        # RQ's code must not find out that the run was stopped: it would end this process, and with it all others.
        if not self._worker._recording.repeat(lambda _: self._worker._scripts.seal_run(run.job_id, fence=run.fence)):
            return Reply(stopped=True)
        return self._by_rq(job, task, past)


async def _within(timeout_s: int, beside: RunningTask, function: Callable[[], Any]) -> Any:
    """Call a function and await what it returns. When the time is over, ``CancelledError`` is raised in it, and the timeout here."""
    is_over = False

    def expire() -> None:
        nonlocal is_over
        is_over = True
        beside.interrupt()

    timer = asyncio.get_running_loop().call_later(timeout_s, expire) if timeout_s > 0 else None
    try:
        beside.is_interruptible = True
        if beside.is_cancelled:  # before it began
            raise asyncio.CancelledError
        return await function()
    except asyncio.CancelledError as exc:
        if is_over and not beside.is_up:
            raise JobTimeoutException(f"Task exceeded maximum timeout value ({timeout_s} seconds)") from exc
        raise
    finally:
        if timer is not None:
            timer.cancel()


async def _in_a_thread(function: Callable[[], str]) -> str:
    """Call a function in a thread, and wait for its end, although a ``CancelledError`` that the job has not met may come meanwhile."""
    called = asyncio.ensure_future(asyncio.to_thread(function))
    while not called.done():
        try:
            await asyncio.wait([called])
        except asyncio.CancelledError:
            continue
    return called.result()
