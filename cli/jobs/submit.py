"""``notify enqueue``: enqueues one job."""

from collections.abc import Callable
from typing import Annotated, Any, get_args

import typer

from cli.jobs.rows import print_end, wait_for
from cli.jobs.select import NEED_FORMAT
from cli.options import AsJson, Namespace, Url, json_or_text, options
from cli.worker import load_modules
from workers import Policy, Queue
from workers.jobs import definition_of

__all__ = ["enqueue"]


def enqueue(
    context: typer.Context,
    function: Annotated[str, typer.Argument(help="Dotted path of a function marked with @job.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="Arguments of the function: JSON, or else text.", show_default=False)
    ] = None,
    queue: Annotated[str | None, typer.Option("--queue", help="Name of the queue; by default that of the definition.")] = None,
    needs: Annotated[
        list[str] | None, typer.Option("--needs", help=f"What the job needs; by default that of the definition: {NEED_FORMAT}.")
    ] = None,
    on_loss: Annotated[
        str | None, typer.Option("--on-loss", help=f"Effect on the job of losing a need: {', '.join(get_args(Policy))}.")
    ] = None,
    max_hold_s: Annotated[
        float | None, typer.Option("--max-hold", help="Seconds for which the job may be held (with --on-loss hold).")
    ] = None,
    grace_s: Annotated[float | None, typer.Option("--grace", help="Seconds within which a service may return without being lost.")] = None,
    job_id: Annotated[
        str | None, typer.Option("--id", help="Id of the job, by default a random one; an existing job with that id is replaced.")
    ] = None,
    wait_s: Annotated[
        float | None, typer.Option("--wait", min=0, help="Wait for the end of the job, at most this number of seconds.")
    ] = None,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Enqueue a call of a function, and print the id of the job. The exit code is 1 if the job is cancelled at once."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    marked = _function(function)
    definition = definition_of(marked)
    if queue == "":
        raise typer.BadParameter("the name of a queue cannot be empty: leave --queue out for the queue of the definition")
    assert definition is not None  # noqa: S101  # load_jobs returns marked functions only
    given: dict[str, Any] = {"needs": needs, "on_loss": on_loss, "max_hold_s": max_hold_s, "grace_s": grace_s, "job_id": job_id}
    with chosen.connect(name="notify-enqueue") as bus:
        made = Queue(definition.queue if queue is None else queue, connection=bus.redis).enqueue(
            marked, *map(json_or_text, arguments or ()), **{name: value for name, value in given.items() if value is not None}
        )
        chosen.output.record({"job": made.id, "queue": made.origin}, made.id)
        outcome, held = made.outcome, made.held
        if held is not None:
            chosen.output.talk(f"the job is held: {held} is not there")
        if outcome is not None and wait_s is None:
            print_end(chosen.output, made, outcome)
            raise typer.Exit(1)
        if wait_s is not None:
            wait_for(chosen.output, made, wait_s)


def _function(path: str) -> Callable[..., Any]:
    """Import the module of a dotted path, and return the marked function that it names."""
    module, _, name = path.rpartition(".")
    if not module:
        raise typer.BadParameter(f"{path!r} is not a dotted path: write module.function")
    marked = load_modules([module])
    if path not in marked:
        raise typer.BadParameter(f"{module} has no function {name!r} marked with @job: choose one of {', '.join(sorted(marked))}")
    return marked[path]
