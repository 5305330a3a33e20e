"""``notify services`` and ``notify kill``."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from cli.options import AsJson, Namespace, Url, options
from notify import Json, ServiceInfo

__all__ = ["kill", "services"]

COLUMNS = ("name", "state", "age_s", "last_beat_s", "provides", "incarnation", "host", "pid")


def services(context: typer.Context, url: Url = None, namespace: Namespace = None, as_json: AsJson = False) -> None:
    """List the services that are registered."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-services") as bus:
        now = datetime.now(UTC)
        rows = [_row(service, now) for service in bus.directory]
        chosen.output.table(COLUMNS, rows, empty=f"no service is registered on {bus.redis.address}")


def kill(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The service's name, as `notify services` shows it.")],
    reason: Annotated[str, typer.Option("--reason", help="Told with its end.")] = "",
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """End a service: it is withdrawn at once, jobs that need it are cancelled, its process is told."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-kill") as bus:
        event_id = bus.directory.kill(name, why=reason)
        chosen.output.record({"service": name, "event": event_id}, f"{name} killed ({event_id})")


def _row(service: ServiceInfo, now: datetime) -> dict[str, Json]:
    return {
        "name": service.name,
        "state": service.state,
        "age_s": round((now - service.registered).total_seconds(), 1),
        "last_beat_s": round((now - service.last_beat).total_seconds(), 1),
        "provides": list[Json](sorted(service.provides)),
        "incarnation": service.incarnation,
        "host": service.host,
        "pid": service.pid,
    }
