"""``notify history``: what happened to jobs, topics, services and requests, in numbers."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, NamedTuple

import typer

from cli.jobs.rows import span_of
from cli.jobs.select import FunctionName, QueueName, since_moment
from cli.options import AsJson, Header, Namespace, Url, options
from notify import Json, SettingsError
from notify.history import (
    Histogram,
    History,
    RequestPoint,
    ServicePoint,
    Step,
    TopicPoint,
    histories_of_methods,
    histories_of_services,
    histories_of_topics,
    read_history,
    request_history,
    service_history,
    topic_history,
)
from workers.overview import JobPoint, histories_of_functions, job_history

__all__ = ["history"]

MINUTES_UNTIL_S: Final = 8 * 3600
"""What goes further back is read by the hour."""
KINDS: Final = ("jobs", "topics", "services", "requests")
STEPS: Final = ("minute", "hour")
ENDS: Final = ("withdrawn", "killed", "expired", "promoted")
SPARE: Final = ("released", "held", "retried", "stopped", "started", "wait_p50", "work_p50", "cancelled", "queue")
JOB_COLUMNS: Final = ("enqueued", "started", "finished", "failed", "stopped", "retried", "cancelled", "held", "released")


class _View(NamedTuple):
    """How a kind is shown: the columns of a name, the histories by name, the points of all that is wanted, and a point as a row."""

    names: tuple[str, ...]
    by_name: Callable[[History], Mapping[Any, tuple[Any, ...]]]
    over_time: Callable[..., tuple[Any, ...]]
    row: Callable[[Any], dict[str, Json]]


def history(
    context: typer.Context,
    of: Annotated[
        str | None, typer.Option("--of", help=f"What to show: {', '.join(KINDS)}; without it jobs, or what a name is given of.")
    ] = None,
    since: Annotated[str, typer.Option("--since", help="How far to go back: 30m, 8h, 3d, or a time such as 2026-11-27T09:00.")] = "1h",
    step: Annotated[str | None, typer.Option("--step", help="A row for each minute or hour, instead of one for each name.")] = None,
    queue: QueueName = None,
    function: FunctionName = None,
    topic: Annotated[str | None, typer.Option("--topic", help="Only this topic.")] = None,
    service: Annotated[str | None, typer.Option("--service", help="Only this service, or with --of requests its methods.")] = None,
    header: Header = None,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Show how much happened in the last hour or days: jobs by function, events by topic, ends of services, requests by method."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    kind = of or ("topics" if topic is not None else "services" if service is not None else "jobs")
    if kind not in KINDS:
        raise typer.BadParameter(f"{kind!r} is not kept: choose one of {', '.join(KINDS)}", param_hint="--of")
    if step is not None and step not in STEPS:
        raise typer.BadParameter(f"{step!r} is no step: choose minute or hour", param_hint="--step")
    given = {"queue": queue, "function": function, "topic": topic, "service": service}
    view, wanted = VIEWS[kind], {name: value for name, value in given.items() if value is not None}
    if strange := [name for name in wanted if name not in view.names]:
        raise typer.BadParameter(f"--{strange[0]} selects no {kind}: leave it out, or change --of", param_hint=f"--{strange[0]}")
    since_s = (datetime.now(UTC) - since_moment(since)).total_seconds()
    with chosen.connect(name="notify-history") as bus:
        try:
            found = read_history(bus.redis, since_s=since_s, step=_step(step, since_s))
        except SettingsError as exc:
            raise typer.BadParameter(f"{since!r} is not in the last month", param_hint="--since") from exc
    if step is None:
        shown, rows = view.names, _by_name(view, found, wanted)
    else:
        shown, rows = ("at",), [{"at": point.at.isoformat(), **view.row(point)} for point in view.over_time(found, **wanted)]
    if not chosen.as_json:
        rows = [{**row, **{name[:-2]: _short(row[name]) for name in row if name.endswith("_s")}} for row in rows]
    columns = (*shown, *view.row(view.over_time(History(found.step, (found.total,)))[0]))
    pretty = tuple(column.removesuffix("_s") for column in columns)
    chosen.output.table(columns, rows, empty=f"no {kind} were counted since {since}", shown=pretty, spare=SPARE, header=header)


def _step(step: str | None, since_s: float) -> Step:
    if step is not None:
        return "minute" if step == "minute" else "hour"
    return "minute" if since_s <= MINUTES_UNTIL_S else "hour"


def _by_name(view: _View, found: History, wanted: Mapping[str, str]) -> list[dict[str, Json]]:
    """Return a row for each name that is wanted, with the sums of its points."""
    rows: list[dict[str, Json]] = []
    for key, (point,) in view.by_name(History(found.step, (found.total,))).items():
        names = dict(zip(view.names, (key,) if isinstance(key, str) else key, strict=True))
        if all(names[name] == value for name, value in wanted.items()):
            rows.append({**names, **view.row(point)})
    return rows


def _short(seconds: Json) -> str:
    """Return seconds as a short text for people."""
    if not isinstance(seconds, float):
        return ""
    return f"{1000 * seconds:.3g}ms" if seconds < 1 else span_of(seconds)


def _job_row(point: JobPoint) -> dict[str, Json]:
    return {**{name: getattr(point, name) for name in JOB_COLUMNS}, **_percentiles("wait", point.wait), **_percentiles("work", point.work)}


def _topic_row(point: TopicPoint) -> dict[str, Json]:
    return {"events": point.events, "gaps": point.gaps}


def _service_row(point: ServicePoint) -> dict[str, Json]:
    ends = {reason: point.withdrawn.get(reason, 0) for reason in ENDS}
    return {"registered": point.registered, "suspected": point.suspected, "recovered": point.recovered, **ends}


def _request_row(point: RequestPoint) -> dict[str, Json]:
    return {"answered": point.answered, "failed": point.failed, **_percentiles("took", point.took)}


def _percentiles(name: str, histogram: Histogram) -> dict[str, Json]:
    found = {percent: histogram.percentile_s(percent) for percent in (50, 95)}
    return {f"{name}_p{percent}_s": None if value is None else round(value, 6) for percent, value in found.items()}


VIEWS: Final = {
    "jobs": _View(("queue", "function"), histories_of_functions, job_history, _job_row),
    "topics": _View(("topic",), histories_of_topics, topic_history, _topic_row),
    "services": _View(("service",), histories_of_services, service_history, _service_row),
    "requests": _View(("service", "method"), histories_of_methods, request_history, _request_row),
}
