"""Our worker as RQ's tests want it: imported first, in their process and in every one that they start.

RQ's tests use whatever function there is and leave serializers to RQ. So here any function may run, and what RQ
serializes by default is JSON. Nothing of that is in the worker itself.
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
    """What a worker loaded, if that were everything."""

    def __getitem__(self, path: str) -> Callable[..., Any]:
        try:
            found: Callable[..., Any] = rq.utils.import_attribute(path)
        except ValueError as exc:
            raise KeyError(path) from exc
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class Worker(workers.Worker):
    """Our worker; it takes queues of RQ, whose tests make them."""

    queue_class = rq.Queue
    made = 0
    """How many there were: whether a test has to do with our worker at all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        with mock.patch("workers.worker.worker.load_jobs", return_value=AnyFunction()):
            super().__init__(*args, **kwargs)
        Worker.made += 1


def connect_to(port: int) -> None:
    """Have what connects to Redis at its usual port, as RQ's tests do, find a server of our own."""
    plain = redis.Connection.__init__

    def connect(self: redis.Connection, *args: Any, **kwargs: Any) -> None:
        plain(self, *args, **kwargs)
        if self.port == USUAL_PORT:
            self.port = port

    redis.Connection.__init__ = connect


def adapt(tests: Mapping[str, Any]) -> None:
    """Change what RQ's tests are made of, when they have been imported: their modules by name."""
    if "tests.fixtures" in tests:
        # A worker may need longer to start on a machine that does other things as well.
        tests["tests.fixtures"]._send_kill_horse_command.__defaults__ = (PATIENCE_S,)
    if "tests.test_job_dependency" in tests:
        tests["tests.test_job_dependency"].get_connection_kwargs = plain_kwargs


def plain_kwargs(connection: redis.Redis) -> dict[str, Any]:
    """How to connect once more, as far as JSON holds it: these tests hand it to jobs."""
    kwargs = rq.connections.get_connection_kwargs(connection)
    return {key: value for key, value in kwargs.items() if isinstance(value, str | int | float | None)}


logging.disable = lambda _level=0: None  # RQ's tests do so, and then ask what was logged
rq.serializers.DefaultSerializer = rq.serializers.PickleSerializer = JsonSerializer
rq.Worker = rq.worker.Worker = rq.worker.worker_classes.Worker = Worker
rq.SimpleWorker = rq.worker.SimpleWorker = rq.worker.worker_classes.SimpleWorker = Worker
if PORT_VARIABLE in os.environ:
    connect_to(int(os.environ[PORT_VARIABLE]))
