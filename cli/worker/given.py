"""The options of ``notify worker``, as they are given on the command line; those that every command has stand in `cli.start`."""

from typing import Annotated, Final

import typer

from cli.start import Level
from workers.line import MOST_AHEAD
from workers.pool import WINDOW_S

__all__ = [
    "PER_PROCESS",
    "Burst",
    "Grace",
    "IsolatedParents",
    "JobLogs",
    "Lean",
    "LowestLevel",
    "MaxRestarts",
    "Modules",
    "Number",
    "Queues",
    "SkipForeign",
    "Verbose",
    "Window",
]

MOST_WORKERS: Final = 1000
"""More than this on one machine is a slip of the finger: each has a process for its jobs."""
PER_PROCESS: Final = 8
"""How many workers share a process at most. They take turns in Python: with more the claims of short jobs would wait for each other."""

Queues = Annotated[
    list[str] | None,
    typer.Argument(
        help="Queues, the most urgent first; by default those of the jobs in the imported modules, or temperature and storage.",
        show_default=False,
    ),
]
Number = Annotated[int | None, typer.Option("--number", "-n", min=1, max=MOST_WORKERS, help="Workers.", show_default="one per core")]
IsolatedParents = Annotated[
    bool, typer.Option("--isolated-parents", help=f"A process of its own for each worker; otherwise up to {PER_PROCESS} share one.")
]
Modules = Annotated[
    list[str] | None,
    typer.Option("--import", help="Module whose jobs may run, in addition to the built-in ones; the current folder is searched last."),
]
Burst = Annotated[bool, typer.Option("--burst", help="End when the queues are empty.")]
SkipForeign = Annotated[
    bool, typer.Option("--skip-foreign", help="Leave pickled jobs of plain RQ in the queue, for RQ's own workers. Otherwise they fail.")
]
Window = Annotated[
    int | None,
    typer.Option(
        "--window",
        min=1,
        max=MOST_AHEAD,
        help="Jobs that a worker claims ahead of their turn; 1: none.",
        show_default="short jobs only: about 5 ms of work",
    ),
]
Lean = Annotated[bool, typer.Option("--lean", help="Leave out events of starts and successes, empty results, and records of runs.")]
MaxRestarts = Annotated[
    int, typer.Option("--max-restarts", min=0, help=f"End with code 1 if a worker dies more often within {WINDOW_S:g} s.")
]
Grace = Annotated[
    float | None,
    typer.Option("--grace", min=0, help="Seconds that jobs may take to finish after the first signal.", show_default="no limit"),
]
JobLogs = Annotated[
    Level | None,
    typer.Option(
        "--job-logs",
        case_sensitive=False,
        help="Publish what each job logs, from this level on, for `notify job logs`.",
        show_default="$NOTIFY_JOB_LOGS, else nothing",
        envvar="NOTIFY_JOB_LOGS",
        show_envvar=False,
    ),
]
LowestLevel = Annotated[
    Level | None,
    typer.Option(
        "--log-level",
        case_sensitive=False,
        help="Lowest level of what workers and jobs log. INFO has a line for the start and end of each job.",
        show_default="INFO on a terminal, else WARNING",
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="The same as --log-level INFO.")]
