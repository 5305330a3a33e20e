"""The span in which a job runs, if the program is traced: it goes on with the trace of who enqueued it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from notify.process import UNTRACED, consuming, is_traced
from workers.horse import Task
from workers.jobs import trace_of

__all__ = ["processed", "processing"]


def processing(task: Task) -> AbstractContextManager[Any]:
    """Return a block with a CONSUMER span for the run of a job."""
    if not is_traced():
        return UNTRACED
    return consuming("process", task.queue, trace=trace_of(task.fields), attributes={"message.id": task.job_id})


def processed(task: Task, perform: Callable[[], Any]) -> Any:
    """Call what runs a job, in such a block."""
    with processing(task):
        return perform()
