"""``notify job logs``: shows what a job has logged, and follows it."""

from typing import Annotated, Final

import typer

from cli.jobs.select import JobId
from cli.options import AsJson, Namespace, Url, options
from cli.output import Output, one_line
from cli.signals import Stop
from notify import Bus, Event, Gap, Json
from workers import Job, JobNotFoundError

__all__ = ["logs"]

POLL_S: Final = 0.2
QUIET_S: Final = 0.3
"""The log of a job that has ended is complete when no line came for so long."""
STYLES: Final = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}


def logs(
    context: typer.Context,
    job_id: JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Show what a job has logged within the last hour, if its worker publishes that (`notify worker --job-logs INFO`)."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with Stop() as stop, chosen.connect(name="notify-job") as bus:
        found, missing = _find(job_id, bus)
        count = 0
        with bus.subscribe(bus.keys.job_log_topic(job_id), since="start") as lines:
            while not stop.asked:
                has_ended = _has_ended(found)  # before the last lines are read
                item = lines.get(POLL_S if follow and not has_ended else QUIET_S)
                if item is not None:
                    count += 1
                    _print(chosen.output, item)
                elif has_ended or not follow:
                    break
        if not count and missing is not None:
            raise missing
        if not count:
            chosen.output.talk(f"job {job_id} has published no lines: its worker needs --job-logs, and they are kept for an hour")


def _find(job_id: str, bus: Bus) -> tuple[Job | None, JobNotFoundError | None]:
    """Return a job, or the error that there is none: its lines may be kept for longer than its result."""
    try:
        return Job.fetch(job_id, connection=bus.redis), None
    except JobNotFoundError as exc:
        return None, exc


def _has_ended(job: Job | None) -> bool:
    try:
        return job is None or job.outcome is not None
    except JobNotFoundError:
        return True


def _print(output: Output, item: Event | Gap) -> None:
    if isinstance(item, Gap) or not isinstance(item.contents, dict):
        output.item(item)
        return
    fields: dict[str, Json] = dict(item.contents)
    level = str(fields.get("level", ""))
    time = f"{item.time:%H:%M:%S.%f}"[:-3] + "Z"
    output.record(fields, time, level, one_line(str(fields.get("message", ""))), style=STYLES.get(level, ""))
