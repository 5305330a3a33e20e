"""``notify cron``: lists the recurring jobs."""

from datetime import datetime

import typer

from cli.options import AsJson, Header, Namespace, Url, options
from notify import Json
from workers import CronInfo, cron_jobs

__all__ = ["cron"]

COLUMNS = tuple(field for field in CronInfo.__struct_fields__ if field != "is_due")
SPARE_COLUMNS = ("paused", "last", "overlap", "listening", "queue")


def cron(context: typer.Context, header: Header = None, url: Url = None, namespace: Namespace = None, as_json: AsJson = False) -> None:
    """List the recurring jobs, the one that is due next first."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-cron") as bus:
        rows = [_row_of(job, as_json=chosen.as_json) for job in cron_jobs(bus.redis)]
        chosen.output.table(COLUMNS, rows, empty="no worker has loaded a job with cron= or every_s=", spare=SPARE_COLUMNS, header=header)


def _row_of(job: CronInfo, *, as_json: bool) -> dict[str, Json]:
    return {
        "function": job.function,
        "queue": job.queue,
        "schedule": job.schedule,
        "next": _text(job.next) if as_json or not job.is_due else f"due since {_text(job.next)}",
        "last": _text(job.last) if job.last else None,
        "workers": job.workers,
        "overlap": job.overlap,
        "listening": job.listening,
        "paused": job.paused if as_json else "yes" if job.paused else "",
        "alarm": f"no worker listens to {job.queue} since {_text(job.alarm)}" if job.alarm else None,
    }


def _text(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds" if time.microsecond else "seconds")
