"""Our worker, adapted to RQ's tests; imported first in the process of the tests, and in every process that they start.

RQ's tests enqueue any function and leave the serializer to RQ. So this worker runs any function, and RQ's default
serializer is our JSON. Nothing of this is in the worker itself.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import redis
import rq
import rq.connections
import rq.serializers
import rq.utils
import rq.worker
import rq.worker.worker_classes

import workers
from workers.jobs.call import JsonSerializer

PORT_VARIABLE = "RQ_SUITE_PORT"
USUAL_PORT = 6379
PATIENCE_S = 1.0


class AnyFunction(Mapping[str, Callable[..., Any]]):
    """The functions of a worker: all that can be imported."""

    def __getitem__(self, path: str) -> Callable[..., Any]:
        try:
            found: Callable[..., Any] = rq.utils.import_attribute(path)
        except ValueError as exc:
            raise KeyError(path) from exc
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 1  # not empty: a process without functions leaves callbacks to others


class Worker(workers.Worker):
    """Our worker, which also takes queues of RQ, as RQ's tests make them."""

    queue_class = rq.Queue
    made = 0
    """The number of workers made so far: it shows whether a test uses our worker at all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        with mock.patch("workers.worker.worker.load_jobs", return_value=AnyFunction()):
            super().__init__(*args, **kwargs)
        Worker.made += 1


def connect_to(port: int) -> None:
    """Redirect every connection to the usual port of Redis, which RQ's tests use, to a server of our own."""
    plain = redis.Connection.__init__

    def connect(self: redis.Connection, *args: Any, **kwargs: Any) -> None:
        plain(self, *args, **kwargs)
        if self.port == USUAL_PORT:
            self.port = port

    redis.Connection.__init__ = connect


def adapt(tests: Mapping[str, Any]) -> None:
    """Adapt RQ's tests after their import.

    Args:
        tests: the imported modules, by name.
    """
    if "tests.fixtures" in tests:
        # A worker may need longer to start on a busy machine.
        tests["tests.fixtures"]._send_kill_horse_command.__defaults__ = (PATIENCE_S,)
    if "tests.test_job_dependency" in tests:
        tests["tests.test_job_dependency"].get_connection_kwargs = plain_kwargs


def plain_kwargs(connection: redis.Redis) -> dict[str, Any]:
    """Return the arguments of another connection, those that JSON can hold: RQ's tests pass them to jobs."""
    kwargs = rq.connections.get_connection_kwargs(connection)
    return {key: value for key, value in kwargs.items() if isinstance(value, str | int | float | None)}


logging.disable = lambda _level=0: None  # RQ's tests call it, and then look at the log
rq.serializers.DefaultSerializer = rq.serializers.PickleSerializer = JsonSerializer
rq.Worker = rq.worker.Worker = rq.worker.worker_classes.Worker = Worker
rq.SimpleWorker = rq.worker.SimpleWorker = rq.worker.worker_classes.SimpleWorker = Worker
if PORT_VARIABLE in os.environ:
    connect_to(int(os.environ[PORT_VARIABLE]))
