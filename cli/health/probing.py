"""``notify healthcheck``: asks whether a worker or a service is well."""

import socket
from typing import Annotated

import typer

from cli.options import AsJson, Namespace, Options, Url, options
from cli.start import ServiceName
from notify import NotifyError
from workers.overview.probes import service_problem, worker_problem

__all__ = ["healthcheck"]

healthcheck = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@healthcheck.callback()
def probes(context: typer.Context, url: Url = None, namespace: Namespace = None, as_json: AsJson = False) -> None:
    """Ask whether a worker or a service is well: exit code 0 if it is, else 1. For probes of a supervisor."""
    context.obj = options(context, url=url, namespace=namespace, as_json=as_json)


@healthcheck.command("worker")
def worker(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The worker's name, or the beginning of it.", show_default="any")] = "",
    here: Annotated[bool, typer.Option("--here/--anywhere", help="Only workers of this host, by its name.")] = True,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Ask whether a worker holds its lease, which it renews each second."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-healthcheck") as bus:
        _end(chosen, worker_problem(bus.redis, name=name, host=socket.gethostname() if here else ""))


@healthcheck.command("service")
def service(
    context: typer.Context,
    name: ServiceName,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Ask whether a service is registered, and not overdue."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-healthcheck") as bus:
        _end(chosen, service_problem(bus, name))


def _end(chosen: Options, problem: str) -> None:
    if problem:
        raise NotifyError(problem)
    chosen.output.record({"healthy": True}, "ok")
