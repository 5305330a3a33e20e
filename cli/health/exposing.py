"""``notify metrics``: serves the metrics of a namespace."""

from typing import Annotated, Final

import typer

from cli.options import AsJson, Namespace, Url, options
from cli.signals import Stop
from workers.overview.metrics_port import metrics_server

__all__ = ["PORT", "metrics"]

PORT: Final = 9726
"""The default port; that of rq-exporter."""


def metrics(
    context: typer.Context,
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="Port; 0 takes a free one.")] = PORT,
    host: Annotated[str, typer.Option("--host", help="Address to listen at; 0.0.0.0 for other machines.")] = "127.0.0.1",
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Serve metrics for Prometheus, /healthz and /readyz, until Ctrl-C."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with Stop() as stop, chosen.connect(name="notify-metrics") as bus, metrics_server(bus, f"{host}:{port}") as server:
        chosen.output.talk(f"serving metrics of namespace {bus.settings.namespace!r} at http://{server.address}/metrics")
        stop.wait()
