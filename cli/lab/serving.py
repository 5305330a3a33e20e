"""``notify serve``: runs a built-in service in the foreground."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from cli.options import AsJson, Namespace, Options, Url, options
from cli.output import Output, lines_of_event
from cli.services.killed import end_if_killed
from cli.signals import Stop
from cli.start import MetricsPort, serving_metrics
from notify import Bus, ServerUnreachableError, ServiceNameTakenError, ServiceNotFoundError
from notify.process import set_title
from workers import StorageError
from workers.horse import die_with_parent
from workers.recorder import Recorder
from workers.storage import NAME, StorageService
from workers.temperature import QUEUE, THRESHOLD, Thermometer, numbers_in

__all__ = ["serve"]

serve = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Ttl = Annotated[
    float | None, typer.Option("--ttl", help="Seconds without a heartbeat after which the service counts as dead.", show_default="5")
]
Parent = Annotated[int | None, typer.Option("--with-parent", hidden=True, help="End with this process, which is the parent.")]

TAKE_OVER_S = 2.0
"""Seconds after the ttl of a dead predecessor for which to wait for its name."""
MAX_WAIT_S = 86_400.0
"""The longest delay of a job, in seconds."""
RETRY_S = 1.0


class Against(StrEnum):
    """The earlier reading that a new reading is compared with."""

    PUBLISHED = "published"
    PREVIOUS = "previous"


class _Run(msgspec.Struct, frozen=True):
    """A run of a service: its name, bus, stop flag and output, and whether it is the child of another command."""

    name: str
    bus: Bus
    stop: Stop
    output: Output
    is_child: bool

    def print_ready(self) -> None:
        if not self.is_child:
            self.output.talk(f"serving {self.name} at namespace {self.bus.settings.namespace!r} on {self.bus.redis.address}")


@serve.callback()
def serving(context: typer.Context, url: Url = None, namespace: Namespace = None, as_json: AsJson = False) -> None:
    """Run a built-in service until Ctrl-C."""
    context.obj = options(context, url=url, namespace=namespace, as_json=as_json)


@serve.command("storage")
def storage(
    context: typer.Context,
    ttl_s: Ttl = None,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    metrics_port: MetricsPort = None,
    parent: Parent = None,
) -> None:
    """Run the storage, which keeps values for other services and jobs."""
    with _running("storage", options(context, url=url, namespace=namespace, as_json=as_json), parent, metrics_port) as run:
        service = StorageService(run.bus, ttl_s=ttl_s)
        if not _open(service, run):
            return
        try:
            run.print_ready()
            while not run.stop.asked and not service.service.wait(0.1):
                continue
        finally:
            service.close()
        end_if_killed(service.service, run.bus, run.output)


@serve.command("thermometer")
def thermometer(
    context: typer.Context,
    interval_s: Annotated[float, typer.Option("--interval", help="Seconds between two readings.")] = 1.0,
    threshold: Annotated[float, typer.Option("--threshold", min=0, help="Smallest change, in degrees, that is published.")] = THRESHOLD,
    against: Annotated[Against, typer.Option("--threshold-against", help="Reading that a new one is compared with.")] = Against.PUBLISHED,
    source: Annotated[
        Path | None, typer.Option("--source", help="File or device with one number per line; - is stdin.", show_default="simulated")
    ] = None,
    ttl_s: Ttl = None,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    metrics_port: MetricsPort = None,
    parent: Parent = None,
) -> None:
    """Run the thermometer, which publishes each change of a temperature."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with _lines(source) as lines, _running("thermometer", chosen, parent, metrics_port) as run, run.bus.manager():
        arguments: dict[str, Any] = {
            "interval_s": interval_s,
            "threshold": threshold,
            "threshold_against": against.value,
            "ttl_s": ttl_s,
        }
        with Thermometer(run.bus, None if lines is None else numbers_in(lines), **arguments) as service:
            run.print_ready()
            while not run.stop.asked and not service.service.wait(0):
                with run.stop.interrupting():  # reading the source may block
                    if not _read(service, run) or run.stop.wait(interval_s):
                        break
            end_if_killed(service.service, run.bus, run.output)


@serve.command("recorder")
def recorder(
    context: typer.Context,
    queue: Annotated[str, typer.Option("--queue", help="Queue of the logging jobs.")] = QUEUE,
    delay_s: Annotated[float, typer.Option("--delay", min=0, max=MAX_WAIT_S, help="Seconds that each job waits before it logs.")] = 0.0,
    once: Annotated[bool, typer.Option("--once", help="End with the storage, instead of waiting for another one.")] = False,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    metrics_port: MetricsPort = None,
    parent: Parent = None,
) -> None:
    """Run the recorder, which enqueues a job for each reading; the job logs it in the storage."""
    with _running("recorder", options(context, url=url, namespace=namespace, as_json=as_json), parent, metrics_port) as run:
        run.print_ready()
        while _await_storage(run):
            try:
                with Recorder(run.bus, queue=queue, delay_s=delay_s) as running:
                    while (end := running.wait(0.1)) is None and not run.stop.asked:
                        continue
            except (ServiceNotFoundError, StorageError, ServerUnreachableError):
                if once:
                    raise
                continue  # the storage or the server is gone: wait for it
            if end is not None:
                run.output.lines({"event": str(end)}, lines_of_event(end))
            if once or run.stop.asked:
                return


@contextmanager
def _running(name: str, chosen: Options, parent: int | None, metrics_port: str | None) -> Iterator[_Run]:
    """Set up a run of a service: signals, the death of the parent if it has one, title, connection."""
    with Stop() as stop:
        if parent is not None:
            die_with_parent()
            if os.getppid() != parent:
                raise typer.Exit(1)  # the parent has already ended
        set_title(name)
        with chosen.connect(name=name) as bus, serving_metrics(metrics_port, bus):
            yield _Run(name, bus, stop, chosen.output, is_child=parent is not None)


def _open(service: StorageService, run: _Run) -> bool:
    """Open the service. If the name is taken, wait as long as a dead predecessor may hold it. Returns ``False`` on a signal."""
    deadline: float | None = None
    while True:
        try:
            service.open()
        except ServiceNameTakenError as exc:
            if deadline is None:
                holders = run.bus.directory.find_all(lambda found: found.name == NAME, overdue=True)
                wait_s = max([holder.ttl_s for holder in holders], default=0.0) + TAKE_OVER_S
                deadline = time.monotonic() + wait_s
                run.output.talk(f"waiting {wait_s:g} s: {exc}")
            if time.monotonic() > deadline:
                raise
            if run.stop.wait(0.2):
                return False
        else:
            return True


def _read(thermometer: Thermometer, run: _Run) -> bool:
    """Take one reading. Returns ``False`` when the source ends. While the server is unreachable, readings are lost."""
    try:
        return thermometer.read()
    except ServerUnreachableError as exc:
        run.output.talk(f"a reading is lost: {exc}")
        return True


def _await_storage(run: _Run) -> bool:
    """Wait until a storage is registered. An outage of the server does not end the wait. Returns ``False`` on a signal."""
    while not run.stop.asked:
        try:
            with run.bus.directory.watch(NAME) as changes:
                while not run.stop.asked:
                    if NAME in run.bus.directory:
                        return True
                    changes.get(0.2)
        except ServerUnreachableError as exc:
            run.output.talk(f"waiting for the server: {exc}")
            run.stop.wait(RETRY_S)
    return False


@contextmanager
def _lines(source: Path | None) -> Iterator[Any]:
    """Open the source of a thermometer; ``None`` if there is none."""
    if source is None:
        yield None
        return
    is_stdin = str(source) == "-"
    with ExitStack() as stack:
        try:
            lines = stack.enter_context(open(sys.stdin.fileno() if is_stdin else source, errors="replace", closefd=not is_stdin))
        except OSError as exc:
            raise typer.BadParameter(f"cannot read {source}: {exc.strerror}") from exc
        yield lines
