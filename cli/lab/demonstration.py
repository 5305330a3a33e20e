"""``notify demo``: runs the lab, each part as a process of its own, kills its storage, and follows the jobs to their ends."""

import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, Annotated, Any, Final

import msgspec
import typer

from cli.lab.child import Child, environ_of
from cli.lab.lines import JobLines, OrderedLogs, Summary
from cli.options import AsJson, Namespace, Options, Url, options
from cli.output import Output
from cli.signals import HeldSignals, shielded
from cli.worker import BUILT_IN_MODULES, working
from notify import Bus, NotifyError, ServerError, Subscriber
from notify.testing import private_server
from workers import Pool, Queue, Worker, WorkerOptions
from workers.rq import Result
from workers.storage import NAME
from workers.temperature import LOG_KEY, QUEUE

__all__ = ["demo"]

INTERVAL_S: Final = 0.2
"""Seconds between two readings."""
JOB_S: Final = 0.8
"""Seconds that a job takes. With two workers jobs are slower than readings, so some run and others wait when the storage is killed."""
READY_S: Final = 30.0
"""Seconds within which a part of the demo must start."""
ENDED_S: Final = 10.0
"""Seconds within which all jobs must end after the storage was killed."""


def demo(
    context: typer.Context,
    seconds: Annotated[float, typer.Option("--seconds", min=1, max=86_400, help="Seconds after which to kill the storage.")] = 5.0,
    size: Annotated[int, typer.Option("--workers", min=1, max=1000, help="Worker processes.")] = 2,
    lab: Annotated[bool, typer.Option("--lab", help="The output of the lab itself: the log, which grows with each job.")] = False,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Log a temperature by jobs in worker processes, kill the storage, and show how each job ended: a line a job.

    Without a server in the options or the environment, the demo starts one of its own and stops it at the end.
    """
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with ExitStack() as stack:
        bus = stack.enter_context(_connect(chosen))
        queue = QUEUE if bus.settings.namespace == "notify" else f"{QUEUE}-{bus.settings.namespace}"
        stack.callback(_clean_up, bus, queue)
        with bus.redis.translating("running the demo"):
            _Demo(bus, queue, chosen.output, size, lab=lab).run(seconds)


class _Demo:
    """One run of the demo on an open bus."""

    def __init__(self, bus: Bus, queue: str, output: Output, size: int, *, lab: bool) -> None:
        self._bus = bus
        self._queue = Queue(queue, connection=bus.redis)
        self._output = output
        self._size = size
        self._lab = lab
        self._logs = OrderedLogs(output, shows=lab)
        self._lines = JobLines(bus, output, shows=not lab)
        self._events: Subscriber | None = None
        self._failure: Exception | None = None

    def run(self, seconds: float) -> None:
        """Start the parts, kill the storage after a while, follow what comes of it, and print the numbers."""
        bus, environ = self._bus, environ_of(self._bus.settings)
        worker_options = WorkerOptions(settings=bus.settings, queues=(self._queue.name,), modules=BUILT_IN_MODULES, log_level="ERROR")
        topics = (bus.keys.job_topic(self._queue.name), bus.keys.status_topic(NAME))
        with bus.subscribe(*topics) as events, ExitStack() as readers, ExitStack() as running:
            self._events = events
            self._output.talk(f"starting storage, {self._size} workers, recorder and thermometer on {bus.redis.address}")

            def serve(*arguments: str, capture: bool = False) -> Child:
                with HeldSignals():
                    return running.enter_context(Child(arguments, environ=environ, capture=capture, quiet=True))

            # The parts stop in the opposite order.
            serve("storage")
            pool = running.enter_context(working(Pool(worker_options, size=self._size, stdout=subprocess.PIPE, environ=environ)))
            for process in pool.processes:
                self._follow(readers, process.stdout, self._logs.add)
            self._until(
                lambda: NAME in bus.directory and Worker.count(queue=self._queue) == self._size, "storage and workers did not start"
            )
            recorder = serve("recorder", "--once", "--queue", self._queue.name, "--delay", f"{JOB_S:g}", capture=True)
            printed: list[str] = []
            self._follow(readers, recorder.stdout, printed.append)
            self._until(lambda: LOG_KEY in bus.state(NAME), "the recorder did not start")
            serve("thermometer", "--interval", f"{INTERVAL_S:g}")
            self._until(lambda: self._logs.count > 0, "no reading was logged")
            killed_at = time.monotonic() + seconds - JOB_S  # the first log took this long
            self._until(lambda: time.monotonic() >= killed_at, "the time to kill the storage did not come", timeout_s=seconds)
            bus.directory.kill(NAME)
            self._until(lambda: recorder.ended is not None, "the recorder did not notice the end of the storage")
            self._follow_to_the_end(events)
        self._logs.flush()
        if self._lab:
            self._lines.summary.logged = self._logs.count
        self._print("".join(printed).rstrip("\n"), self._lines.summary)

    def _follow(self, readers: ExitStack, stream: IO[Any] | None, take: Callable[[str], object]) -> None:
        """Pass each line of a stream to ``take``, in a thread that ends with the stream. Closing ``readers`` waits for the thread."""
        assert stream is not None  # noqa: S101  # capture was given

        def read() -> None:
            with stream:
                for line in stream:
                    if self._failure is not None:
                        continue  # keep reading: a full pipe would block the process that writes
                    try:
                        take(line.decode() if isinstance(line, bytes) else line)
                    except Exception as exc:  # the main thread raises it again
                        self._failure = exc

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        readers.callback(thread.join)

    def _until(self, condition: Callable[[], object], problem: str, *, timeout_s: float = READY_S) -> None:
        """Wait until a condition is true. If that takes too long, raise an error with the problem."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if self._failure is not None:
                raise self._failure
            if time.monotonic() > deadline:
                raise NotifyError(f"the demo failed: {problem} within {timeout_s:g} s")
            assert self._events is not None  # noqa: S101  # it is open while something is waited for
            self._lines.take(self._events.get(0.02))

    def _follow_to_the_end(self, events: Subscriber) -> None:
        """Wait until no job runs or waits, and follow the last events."""
        registry = self._queue.started_job_registry
        self._until(lambda: not self._queue.count and not registry.count, "the jobs did not end", timeout_s=ENDED_S)
        while (item := events.get(0.3)) is not None:
            self._lines.take(item)

    def _print(self, end: str, summary: Summary) -> None:
        record = msgspec.structs.asdict(summary)
        if self._lab:
            self._output.lines({"event": end}, [(line,) for line in end.split("\n")], style="bold red")
        if self._output.as_json:
            self._output.record(record, "")
            return
        self._output.line("")
        for name, value in record.items():
            self._output.line(f"{name.replace('_', ' ')}: {'-' if value is None else value}", style="bold")


@contextmanager
def _connect(chosen: Options) -> Iterator[Bus]:
    """Connect to the chosen server in a namespace of the demo's own, or without one to a server of the demo's own."""
    with ExitStack() as stack:
        if chosen.settings.url is None:
            chosen = msgspec.structs.replace(chosen, url=stack.enter_context(shielded(private_server)).url)
        else:
            # Other services may use the chosen namespace.
            namespace = f"{chosen.settings.namespace}-demo-{secrets.token_hex(3)}"
            chosen = msgspec.structs.replace(chosen, namespace=namespace)
        yield stack.enter_context(chosen.connect(name="notify-demo"))


def _clean_up(bus: Bus, queue_name: str) -> None:
    """Remove the log in the storage, and the jobs and their results, which RQ would keep for long."""
    with suppress(ServerError), bus.redis.translating("cleaning up"):  # the demo has already reported that the server is gone
        bus.state(NAME).clear()
        queue = Queue(queue_name, connection=bus.redis)
        for registry in (queue.finished_job_registry, queue.failed_job_registry, queue.canceled_job_registry, queue.started_job_registry):
            for job_id in registry.get_job_ids(cleanup=False):
                registry.remove(job_id, delete_job=True)
                bus.redis.delete(Result.get_key(job_id))  # type: ignore[no-untyped-call]  # RQ leaves it untyped
            bus.redis.delete(registry.key)
        queue.delete(delete_jobs=True)
