"""``notify up``: runs all parts of the lab on this machine, in the foreground."""

from contextlib import ExitStack
from typing import Annotated

import typer

from cli.lab.child import Child, environ_of
from cli.options import AsJson, Namespace, Url, options
from cli.signals import Stop
from cli.worker import BUILT_IN_QUEUES, modules_to_load, queues_of, talking, working
from notify.process import set_title
from workers import Pool, WorkerOptions
from workers.pool import count_of

__all__ = ["up"]


def up(
    context: typer.Context,
    size: Annotated[
        int | None, typer.Option("--number", "-n", min=1, max=1000, help="Worker processes.", show_default="one per core")
    ] = None,
    modules: Annotated[
        list[str] | None, typer.Option("--import", help="Module whose jobs may run, in addition to the built-in ones.")
    ] = None,
    interval_s: Annotated[float, typer.Option("--interval", min=0.001, help="Seconds between two readings.")] = 1.0,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Run a server, the storage, thermometer and recorder, and workers, and print all events; Ctrl-C stops them in order."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    output = chosen.output
    names = modules_to_load(modules)
    queues = tuple(dict.fromkeys((*BUILT_IN_QUEUES, *queues_of(modules or ()))))
    set_title("up")
    with Stop() as stop, chosen.connect(name="notify-up") as bus, bus.subscribe("*") as events, ExitStack() as running:
        environ = environ_of(bus.settings) | chosen.log_environ
        worker_options = WorkerOptions(settings=bus.settings, queues=queues, modules=names, log_format=chosen.log_format.value)
        # The parts stop in the opposite order: first thermometer and recorder, then the workers after their jobs, then the storage.
        children = [running.enter_context(Child(["storage"], environ=environ))]
        pool = running.enter_context(working(Pool(worker_options, size=size, report=talking(output))))
        for arguments in (["recorder"], ["thermometer", "--interval", f"{interval_s:g}"]):
            children.append(running.enter_context(Child(arguments, environ=environ)))
        output.talk(f"server at {bus.redis.address}, {count_of(pool)} on {', '.join(worker_options.queues)}; Ctrl-C stops all")
        if bus.socket_path is not None:
            output.talk(f"look inside with: redis-cli -s {bus.socket_path}")
        while not stop.asked:
            item = events.get(0.2)
            if item is not None:
                output.item(item)
            pool.check()
            for child in [child for child in children if child.ended is not None]:
                children.remove(child)
                output.talk(f"{child.name} (process {child.pid}) ended with exit code {child.ended}", style="red")
        output.talk("stopping: thermometer and recorder, workers, storage")
