"""``notify cancel``, and ``notify job retry|cancel|delete --all``: change many jobs, after a count."""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Annotated, Final, NamedTuple

import msgspec
import redis
import typer

from cli.jobs.select import NEED_FORMAT, QueueName
from cli.options import AsJson, Namespace, Options, Url, options
from cli.output import Output
from cli.signals import Stop
from cli.start import INTERRUPTED
from notify import Bus, Json
from workers import Queue, find_jobs
from workers.overview import JobFilter, chunked, count_needing
from workers.queue import BatchResult, compact_queues
from workers.scripts import AT_ONCE

__all__ = ["DryRun", "ManyChange", "Yes", "cancel", "change_many"]

LOSS_COLUMNS = ("queue", "on_loss", "waiting", "running")
COUNT_COLUMNS: Final = ("queue", "status", "jobs")

Yes = Annotated[bool, typer.Option("--yes", "-y", help="With --all: do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="With --all: change nothing, count the jobs by queue and status.")]


class ManyChange(NamedTuple):
    """A change that a command makes to many jobs.

    Args:
        verb, done: ``retry``, ``retried``.
        statuses: the statuses that a job may have. All of them are selected if no status is given, but for a retry only ``failed``.
        default: the statuses that are selected if none is given.
        apply: changes one batch of jobs.
    """

    verb: str
    done: str
    statuses: Sequence[str]
    default: Sequence[str]
    apply: Callable[[redis.Redis, Sequence[str]], BatchResult]


def change_many(chosen: Options, bus: Bus, change: ManyChange, wanted: JobFilter, *, yes: bool, dry_run: bool) -> None:
    """Change all jobs that match, in batches. First count them and, on a terminal, ask.

    Raises:
        typer.BadParameter: the status is none of ``change.statuses``, or nobody can be asked.
        typer.Exit: the answer was no (1), or a signal ended the change in the middle (130).
    """
    output = chosen.output
    wanted = wanted.checked()
    if wanted.status is not None and wanted.status not in change.statuses:
        raise typer.BadParameter(f"a job that is {wanted.status} cannot be {change.done}: choose one of {', '.join(change.statuses)}")
    counts: Counter[tuple[str, str]] = Counter()
    ids: dict[str, None] = {}
    for status in [wanted.status] if wanted.status is not None else change.default:
        for job in find_jobs(bus.redis, **msgspec.structs.asdict(msgspec.structs.replace(wanted, status=status))):
            if job.id not in ids:
                ids[job.id] = None
                counts[job.origin, str(status)] += 1
    rows: list[dict[str, Json]] = [{"queue": queue, "status": status, "jobs": count} for (queue, status), count in sorted(counts.items())]
    if dry_run:
        output.table(COUNT_COLUMNS, rows, empty="no job matches", always_says=True)
        return
    if not ids:
        output.talk("no job matches")
        return
    if not yes:
        counted = ", ".join(f"{count:,} {status} on {queue}" for (queue, status), count in sorted(counts.items()))
        _ask(output, f"{change.verb} {_jobs(len(ids))} ({counted})?")
    with Stop() as stop:
        result = _apply(output, bus, change, list(ids), stop)
        if change.verb == "cancel":
            compact_queues(bus.redis, {queue for queue, _ in counts})
        record: dict[str, Json] = {"change": change.verb, "of": len(ids), **msgspec.structs.asdict(result)}
        output.record(record, _summary(change, result))
        if stop.asked:
            output.talk(f"interrupted: {result.done:,} of {_jobs(len(ids))} {change.done}")
    if stop.asked:
        raise typer.Exit(INTERRUPTED)


def _apply(output: Output, bus: Bus, change: ManyChange, ids: list[str], stop: Stop) -> BatchResult:
    """Change jobs batch by batch, until all are changed or a signal arrives."""
    result, takes_long = BatchResult(), len(ids) > AT_ONCE
    with output.counting(change.done, len(ids)) if takes_long else nullcontext() as advance:
        for batch in chunked(ids, AT_ONCE):
            if stop.asked:
                break
            result += change.apply(bus.redis, batch)
            if advance is not None:
                advance(len(batch))
    return result


def _ask(output: Output, question: str) -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{question} There is no terminal to ask on: add --yes, or --dry-run for a count")
    output.talk(f"{question} [y/N]")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        output.talk("nothing was changed")
        raise typer.Exit(1)


def _summary(change: ManyChange, result: BatchResult) -> str:
    parts = [f"{change.done} {_jobs(result.done)}"]
    if result.held:
        parts.append(f"{result.held:,} of them are held: a service that they need is not there")
    if result.cancelled:
        parts.append(f"{result.cancelled:,} of them are cancelled again: a service that they need is not there")
    if result.awaited:
        parts.append(f"{result.awaited:,} stay, because other jobs wait for them")
    if result.unchanged:
        parts.append(f"{result.unchanged:,} had changed meanwhile")
    return "; ".join(parts)


def _jobs(count: int) -> str:
    return f"{count:,} job{'' if count == 1 else 's'}"


def cancel(
    context: typer.Context,
    needs: Annotated[str, typer.Option("--needs", help=f"What the jobs need: {NEED_FORMAT}.")],
    queue: QueueName = None,
    reason: Annotated[str, typer.Option("--reason", help="Stored in the outcomes of the jobs.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Cancel nothing: count the jobs, by queue and policy.")] = False,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Cancel the waiting jobs that need a service, or any service with a capability."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-cancel") as bus:
        stakes = [stake for stake in count_needing(bus.redis, needs) if stake.queue == (queue or stake.queue)]
        if dry_run:
            rows = [msgspec.structs.asdict(stake) for stake in stakes]
            chosen.output.table(LOSS_COLUMNS, rows, empty=f"no job needs {needs}", always_says=True)
            return
        for name in sorted({stake.queue for stake in stakes}) if queue is None else [queue]:
            count = Queue(name, connection=bus.redis).cancel(needs=needs, reason=reason)
            chosen.output.record({"queue": name, "cancelled": count}, name, f"{count} cancelled")
        if not stakes and queue is None:
            chosen.output.talk(f"no job needs {needs}")
