"""Celery's side of a throughput round: no result backend, as it comes, and no delivery again of what a killed worker had begun."""

import os

from celery import Celery

from benchmarks.tally import URL
from benchmarks.work import WORK

__all__ = ["app", "preload"]


app = Celery("bench", broker=os.environ[URL])
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
TASKS = {name: app.task(function) for name, function in WORK.items()}


def preload(name: str, count: int) -> None:
    """Enqueue ``count`` jobs, one call each: Celery has no other way."""
    for _ in range(count):
        TASKS[name].delay(count)
