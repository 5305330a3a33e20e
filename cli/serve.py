"""``notify serve``: one of the built-in services in the foreground."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.options import Options, Url, options
from cli.signals import Stop
from notify import Bus, ServiceNameTakenError
from workers.lifeline import die_with_parent
from workers.recorder import Recorder
from workers.storage import NAME, StorageService
from workers.temperature import QUEUE, THRESHOLD, Thermometer, numbers_in

__all__ = ["serve"]

serve = typer.Typer(help="Run a built-in service until Ctrl-C.", no_args_is_help=True)

Ttl = Annotated[float | None, typer.Option("--ttl", help="Seconds of silence after which it counts as dead.", show_default="5")]
WithParent = Annotated[bool, typer.Option("--with-parent", hidden=True, help="End when the process that started it ends.")]

TAKE_OVER_S = 2.0
"""How long beyond the ttl of a dead predecessor its name is waited for."""


@serve.command("storage")
def storage(context: typer.Context, ttl_s: Ttl = None, url: Url = None, with_parent: WithParent = False) -> None:
    """Keep values for others."""
    with _serving(options(context, url=url), "storage", with_parent) as (bus, stop):
        service = StorageService(bus, ttl_s=ttl_s)
        if not _open(service, bus, stop):
            return
        try:
            while not stop.asked and not service.service.wait(0.1):
                continue
        finally:
            service.close()


@serve.command("thermometer")
def thermometer(
    context: typer.Context,
    interval_s: Annotated[float, typer.Option("--interval", help="Seconds between two readings.")] = 1.0,
    threshold: Annotated[float, typer.Option("--threshold", help="Degrees of change that are worth an event.")] = THRESHOLD,
    against: Annotated[
        str, typer.Option("--threshold-against", help="Change since the last 'published' or the 'previous' reading.")
    ] = "published",
    source: Annotated[
        Path | None, typer.Option("--source", help="File or device with one number a line; - is stdin.", show_default="simulated")
    ] = None,
    ttl_s: Ttl = None,
    url: Url = None,
    with_parent: WithParent = False,
) -> None:
    """Read a temperature and publish what has changed."""
    with _serving(options(context, url=url), "thermometer", with_parent) as (bus, stop), bus.manager(), _lines(source) as lines:
        arguments: dict[str, Any] = {"interval_s": interval_s, "threshold": threshold, "threshold_against": against, "ttl_s": ttl_s}
        with Thermometer(bus, None if lines is None else numbers_in(lines), **arguments) as service:
            while not service.service.wait(0) and service.read() and not stop.wait(interval_s):
                continue


@serve.command("recorder")
def recorder(
    context: typer.Context,
    queue: Annotated[str, typer.Option("--queue", help="Queue of the logging jobs.")] = QUEUE,
    delay_s: Annotated[float, typer.Option("--delay", min=0, help="Seconds that each job takes before it logs.")] = 0.0,
    once: Annotated[bool, typer.Option("--once", help="End with the storage, instead of waiting for the next one.")] = False,
    url: Url = None,
    with_parent: WithParent = False,
) -> None:
    """Have every reading logged in the storage by a job."""
    chosen = options(context, url=url)
    with _serving(chosen, "recorder", with_parent) as (bus, stop):
        while _await_storage(bus, stop):
            with Recorder(bus, queue=queue, delay_s=delay_s) as running:
                while (end := running.wait(0.1)) is None and not stop.asked:
                    continue
            if end is not None:
                chosen.output.line(str(end))
            if once or stop.asked:
                return


@contextmanager
def _serving(chosen: Options, name: str, with_parent: bool) -> Iterator[tuple[Bus, Stop]]:
    with Stop() as stop:
        if with_parent:
            die_with_parent()
        with chosen.connect(name=name) as bus:
            chosen.output.talk(f"serving {name} at namespace {bus.settings.namespace!r} on {bus.redis.address}")
            yield bus, stop


def _open(service: StorageService, bus: Bus, stop: Stop) -> bool:
    """Open the service; a predecessor that died without a word is waited for until it is withdrawn. Returns ``False`` if told to stop."""
    deadline: float | None = None
    while True:
        try:
            service.open()
        except ServiceNameTakenError:
            if deadline is None:
                holders = bus.directory.find_all(lambda found: found.name == NAME)
                deadline = time.monotonic() + max([holder.ttl_s for holder in holders], default=0.0) + TAKE_OVER_S
            if time.monotonic() > deadline:
                raise
            if stop.wait(0.2):
                return False
        else:
            return True


def _await_storage(bus: Bus, stop: Stop) -> bool:
    """Wait until there is a storage. Returns ``False`` if told to stop before."""
    with bus.directory.watch(NAME) as changes:
        while NAME not in bus.directory:
            changes.get(0.2)
            if stop.asked:
                return False
    return not stop.asked


@contextmanager
def _lines(source: Path | None) -> Iterator[Any]:
    if source is None:
        yield None
    elif str(source) == "-":
        yield sys.stdin
    else:
        try:
            with source.open() as lines:
                yield lines
        except OSError as exc:
            raise typer.BadParameter(f"cannot read {source}: {exc.strerror}") from exc
