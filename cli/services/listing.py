"""``notify services``, ``service show``, ``watch`` and ``monitor``: the directory of services and its changes."""

import time
from datetime import UTC, datetime
from typing import Annotated, TypedDict

import msgspec
import typer

from cli.options import AsJson, Header, Namespace, Options, Url, options
from cli.output import Output
from cli.signals import Stop
from cli.start import MetricsPort, ServiceName, serving_metrics
from notify import Available, Bus, Change, Json, ServerUnreachableError, ServiceInfo, ServiceNotFoundError, Suspect

__all__ = ["monitor", "service", "services", "watch"]

COLUMNS = ("name", "state", "age_s", "last_beat_s", "provides", "groups", "flaps", "incarnation", "host", "pid", "standby")
SPARE_COLUMNS = ("standby", "flaps", "groups", "pid", "host", "incarnation")
REFRESH_S = 1.0

Provides = Annotated[str | None, typer.Option("--provides", help="Only services with this capability.")]
Group = Annotated[str | None, typer.Option("--group", help="Only services in this group.")]


class _Which(TypedDict):
    """Which services to show."""

    provides: str | None
    group: str | None


service = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@service.callback()
def one_service(context: typer.Context, url: Url = None, namespace: Namespace = None, as_json: AsJson = False) -> None:
    """Show one service."""
    context.obj = options(context, url=url, namespace=namespace, as_json=as_json)


def services(
    context: typer.Context,
    live: Annotated[bool, typer.Option("--watch", "-w", help="Keep showing every change, until Ctrl-C.")] = False,
    provides: Provides = None,
    group: Group = None,
    header: Header = None,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """List the registered services. One without heartbeats for its ttl is overdue: it is not found any more, and then withdrawn."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-services") as bus:
        which = _Which(provides=provides, group=group)
        if live:
            _show_live(bus, chosen, which)
        else:
            empty = f"no such service is registered on {bus.redis.address}"
            chosen.output.table(COLUMNS, _rows(bus, which), empty=empty, spare=SPARE_COLUMNS, header=header)


@service.command("show")
def show(
    context: typer.Context,
    name: ServiceName,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Show everything known about a service: its description, its state, and how the last service of that name ended."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-service") as bus:
        known: dict[str, Json] = {}
        try:
            known.update(_description(bus.directory.lookup(name, overdue=True)))
        except ServiceNotFoundError:
            if bus.directory.last_end(name) is None:
                raise
            known.update(name=name, state="gone")
        end = bus.directory.last_end(name)
        if end is not None:
            known["last_end"] = msgspec.to_builtins(end)
        if known["state"] != "gone" or bus.state(name):
            known["stored"] = bus.state(name).snapshot()
        chosen.output.lines(known, ((label, _text(value)) for label, value in known.items()))


def watch(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(help="Services to follow; by default all.", show_default=False)] = None,
    provides: Provides = None,
    group: Group = None,
    count: Annotated[int | None, typer.Option("--count", "-c", min=1, help="End after this number of changes.")] = None,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Print each service that registers, is suspected or is withdrawn, until Ctrl-C; begins with the registered services."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-watch") as bus, bus.directory.watch(*(names or []), provides=provides, group=group) as changes:
        chosen.output.talk(f"watching {', '.join(names or ['all services'])} on {bus.redis.address}")
        for number, change in enumerate(changes, 1):
            _print_change(chosen.output, change)
            if number == count:
                return


def monitor(
    context: typer.Context, metrics_port: MetricsPort = None, url: Url = None, namespace: Namespace = None, as_json: AsJson = False
) -> None:
    """Sweep the directory from a process of its own, until Ctrl-C. Dead services are then found even if no other process sweeps."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with (
        Stop() as stop,
        chosen.connect(name="notify-monitor") as bus,
        bus.directory.watch() as changes,  # whoever watches sweeps
        serving_metrics(metrics_port, bus),
    ):
        chosen.output.talk(f"sweeping the directory at namespace {bus.settings.namespace!r} on {bus.redis.address}")
        while not stop.asked:
            change = changes.get(0.2)
            if change is not None:
                _print_change(chosen.output, change)


def _show_live(bus: Bus, chosen: Options, which: _Which) -> None:
    output = chosen.output
    with Stop() as stop, bus.directory.watch(**which) as changes:
        if not output.pretty:
            while not stop.asked:
                change = changes.get(0.2)
                if change is not None:
                    _print_change(output, change)
            return
        with output.screen() as screen:
            while not stop.asked:
                try:
                    screen.show(output.grid(COLUMNS, _rows(bus, which), spare=SPARE_COLUMNS))
                    shown_at = time.monotonic()
                    while changes.get(0.1) is None and time.monotonic() - shown_at < REFRESH_S and not stop.asked:
                        continue
                except ServerUnreachableError as exc:
                    screen.show(f"waiting: {exc}")
                    stop.wait(REFRESH_S)


def _print_change(output: Output, change: Change) -> None:
    kind = type(change).__name__.lower()
    now = datetime.now(UTC)
    record: dict[str, Json] = {"time": now.isoformat(timespec="milliseconds"), "change": kind, **msgspec.to_builtins(change)}
    rest = [str(value) for name, value in record.items() if name not in ("time", "change") and value != ""]
    style = "green" if isinstance(change, Available) else "yellow" if isinstance(change, Suspect) else "bold red"
    output.record(record, f"{now:%H:%M:%S}Z", kind, *rest, style=style)


def _rows(bus: Bus, which: _Which) -> list[dict[str, Json]]:
    return [_row(found) for found in bus.directory.find_all(**which, overdue=True)]


def _row(found: ServiceInfo) -> dict[str, Json]:
    return {
        "name": found.name,
        "state": found.state,
        "age_s": round((found.last_beat - found.registered).total_seconds() + found.silent_s, 1),  # all by the server's clock
        "last_beat_s": round(found.silent_s, 1),
        "provides": list[Json](sorted(found.provides)),
        "groups": list[Json](sorted(found.groups)),
        "flaps": found.flaps,
        "incarnation": found.incarnation,
        "host": found.host,
        "pid": found.pid,
        "standby": found.standby,
    }


def _description(found: ServiceInfo) -> dict[str, Json]:
    described: dict[str, Json] = msgspec.to_builtins(found, order="deterministic")
    return {"name": found.name, "state": found.state, **described}


def _text(value: Json) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
