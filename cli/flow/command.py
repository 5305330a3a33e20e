"""``notify flow``: runs, checks and draws flows from files, and shows the schema of the files."""

from typing import Annotated, Final

import msgspec
import typer

from cli.flow.loading import connecting, load, unconnected
from cli.flow.running import run, shown_by
from cli.options import AsJson, Header, Namespace, Url, options
from cli.signals import Stop
from cli.start import MetricsPort, serving_metrics
from notify import Json
from notify.flows import Flow, TCPServer
from notify.flows.files import drawing_of, json_schema, list_kinds

__all__ = ["flow"]

COLUMNS: Final = ("kind", "keys", "what")

flow = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

File = Annotated[
    str, typer.Argument(metavar="FILE", help="A TOML file, a Python file or a module; :NAME behind Python names the flow there.")
]


@flow.callback()
def flows(context: typer.Context, url: Url = None, namespace: Namespace = None, as_json: AsJson = False) -> None:
    """Run, check and draw flows from files."""
    context.obj = options(context, url=url, namespace=namespace, as_json=as_json)


@flow.command("run")
def run_file(
    context: typer.Context,
    file: File,
    progress: Annotated[bool, typer.Option("--progress", help="Show the counters of each node on stderr.")] = False,
    metrics_port: MetricsPort = None,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Run a flow until it ends, or until Ctrl-C; then deliver what is in it. A table [service] in the file makes it a service."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    output = chosen.output
    with Stop() as stop, connecting(chosen, name="notify-flow") as bus:
        loaded = load(file, bus, shown_by(output))
        with serving_metrics(metrics_port, bus() if metrics_port else None):
            run(loaded, stop, output, ready=lambda: _described(loaded.flow), has_progress=progress)


@flow.command("check")
def check(context: typer.Context, file: File, url: Url = None, namespace: Namespace = None, as_json: AsJson = False) -> None:
    """Check a flow without running it or connecting, and draw it. Code of a Python file is run to make the flow."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with unconnected(chosen, name="notify-flow") as bus:
        loaded = load(file, bus, shown_by(chosen.output), to_run=False)
        record: dict[str, Json] = {
            "flow": loaded.flow.name,
            "nodes": list(loaded.flow.nodes),
            "links": [msgspec.structs.asdict(link) for link in loaded.flow.links],
        }
        chosen.output.lines(record, [(line,) for line in drawing_of(loaded.flow)])


@flow.command("schema")
def show_schema(
    context: typer.Context, header: Header = None, url: Url = None, namespace: Namespace = None, as_json: AsJson = False
) -> None:
    """List the kinds of nodes of TOML files and their keys; with --json print the JSON Schema of the files."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    if chosen.as_json:
        chosen.output.record(json_schema())
        return
    rows: list[dict[str, Json]] = [{"kind": kind.kind, "keys": list(kind.keys), "what": kind.what} for kind in list_kinds()]
    chosen.output.table(COLUMNS, rows, empty="", header=header)


def _described(flow: Flow) -> str:
    """Return what to say when a flow runs: its name, and where it listens."""
    servers = {
        id(node.work): f"{name} listens at {node.work.address}" for name, node in flow.nodes.items() if isinstance(node.work, TCPServer)
    }
    return ", ".join([f"running the flow {flow.name}", *servers.values()])
