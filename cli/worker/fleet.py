"""``notify workers``: lists all workers, and tells one of them to end."""

import time
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from cli.listing import lists
from cli.options import AsJson, Namespace, Options, Url, options
from notify import Bus, Json
from workers import WorkerInfo, WorkerNotFoundError, find_workers, stop_worker
from workers.overview import find_worker

__all__ = ["workers"]

COLUMNS: Final = ("name", "state", "function", "queues", "memory", "since", "done", "failed", "host", "pid", "job")
TELL_AGAIN_S: Final = 1.0
"""Seconds after which a worker that did not listen is told again."""
POLL_S: Final = 0.1

workers = typer.Typer(rich_markup_mode=None)


@lists(workers, "notify-workers")
def listing(bus: Bus, chosen: Options, header: bool | None) -> None:
    """List the workers of the server, on all hosts: what each does, its memory, and since when it runs."""
    rows = [_row(worker, as_json=chosen.as_json) for worker in find_workers(bus.redis)]
    columns = COLUMNS if not chosen.as_json else tuple(rows[0]) if rows else ()
    empty = f"no worker runs on {bus.redis.address}: start one with notify worker"
    chosen.output.table(columns, rows, empty=empty, header=header)


@workers.command("stop")
def stop(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The worker's name, as `notify workers` shows it, or the beginning of it.")],
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it has ended.")] = True,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Tell a worker, on any host, to finish its job and end. Its pool does not start it again."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-workers") as bus:
        worker = find_worker(bus.redis, name)
        listens = stop_worker(bus.redis, worker.name)
        doing = f" when {worker.function or 'its job'} ({worker.job}) has ended" if worker.job else ""
        if not wait:
            if not listens:
                raise WorkerNotFoundError(f"worker {worker.name} does not listen at the moment: try again in a second")
            chosen.output.record({"worker": worker.name, "state": "ending"}, f"worker {worker.name} ends{doing}")
            return
        if doing:
            chosen.output.talk(f"worker {worker.name} ends{doing}; Ctrl-C only ends the waiting")
        state = _await_end(bus, worker, listens=listens)
        chosen.output.record({"worker": worker.name, "state": state}, f"worker {worker.name} {state}")


def _await_end(bus: Bus, worker: WorkerInfo, *, listens: bool) -> str:
    """Wait until a worker is gone. While it does not listen, tell it again. Returns how it went."""
    told_at = time.monotonic()
    while True:
        found = next((each for each in find_workers(bus.redis) if each.name == worker.name), None)
        if found is None:
            return "has ended"
        if found.state == "lost":
            return "is lost: its process or host died, or cannot reach the server"
        if not listens and time.monotonic() - told_at > TELL_AGAIN_S:
            listens, told_at = stop_worker(bus.redis, worker.name), time.monotonic()
        time.sleep(POLL_S)


def _row(worker: WorkerInfo, *, as_json: bool) -> dict[str, Json]:
    """Return the row of a worker in a table; as JSON it holds plain numbers and times."""
    row: dict[str, Json] = {
        "name": worker.name,
        "state": worker.state,
        "function": worker.function or "",
        "queues": list[Json](worker.queues),
        "memory": "-" if worker.memory_kib is None else f"{worker.memory_kib / 1024:.0f} MiB",
        "since": "-" if worker.since is None else _age(worker.since),
        "done": worker.done,
        "failed": worker.failed,
        "host": worker.host,
        "pid": worker.pid,
        "job": worker.job or "",
    }
    if not as_json:
        return row
    row |= {"function": worker.function, "job": worker.job, "since": None if worker.since is None else worker.since.isoformat()}
    del row["memory"]
    return {**row, "memory_kib": worker.memory_kib}


def _age(since: datetime) -> str:
    """Return how long ago something was, in one unit."""
    seconds = max(0.0, (datetime.now(UTC) - since).total_seconds())
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"
