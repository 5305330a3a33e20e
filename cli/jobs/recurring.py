"""``notify cron``: lists the recurring jobs, pauses one, resumes it, and runs it now."""

from datetime import datetime
from typing import Annotated

import typer

from cli.jobs.pausing import add_pausing
from cli.listing import lists
from cli.options import AsJson, Namespace, Options, Url, options
from notify import Bus, Json
from workers import CronInfo, cron_jobs
from workers.schedule import pause_cron, resume_cron, run_cron

__all__ = ["cron"]

COLUMNS = tuple(field for field in CronInfo.__struct_fields__ if field != "is_due")
SPARE_COLUMNS = ("paused", "last", "overlap", "listening", "queue")


Name = Annotated[str, typer.Argument(metavar="FUNCTION", help="The dotted path of its function, as `notify cron` shows it.")]

cron = typer.Typer(rich_markup_mode=None)


@lists(cron, "notify-cron")
def listing(bus: Bus, chosen: Options, header: bool | None) -> None:
    """List the recurring jobs, the one that is due next first."""
    rows = [_row_of(job, as_json=chosen.as_json) for job in cron_jobs(bus.redis)]
    chosen.output.table(COLUMNS, rows, empty="no worker has loaded a job with cron= or every_s=", spare=SPARE_COLUMNS, header=header)


add_pausing(
    cron,
    "function",
    Name,
    pause=pause_cron,
    pausing="Let a recurring job not be enqueued until it is resumed. Times that pass meanwhile are left out.",
    resume=resume_cron,
    resuming="Let a recurring job be enqueued again, at its next time.",
)


@cron.command("run")
def run(context: typer.Context, function: Name, url: Url = None, namespace: Namespace = None, as_json: AsJson = False) -> None:
    """Enqueue a recurring job now, besides its times, and print the id of the job."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-cron") as bus:
        made = run_cron(bus.redis, function)
        chosen.output.record({"job": made.id, "queue": made.origin}, made.id)


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
