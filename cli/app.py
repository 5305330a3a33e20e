"""The ``notify`` command: assembles the commands, and turns errors into exit codes; `CODES` names them."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli import events, jobs, services
from cli.call import call
from cli.cron import cron
from cli.demo import demo
from cli.kill import kill
from cli.options import AsJson, Namespace, Options, Url
from cli.output import Output, OutputClosedError, close_output
from cli.serve import serve
from cli.signals import exit_code_of, ignore_signals, unwind_on_signals
from cli.up import up
from cli.worker import worker, workers
from notify import (
    EmptySubscriptionError,
    InvalidPositionError,
    InvalidServiceError,
    InvalidTopicError,
    NotifyError,
    ServerError,
    SettingsError,
    __version__,
)
from workers import JobArgumentsError, JobDefinitionError, ModuleLoadError

__all__ = ["app", "main"]

USAGE_ERRORS = (
    SettingsError,
    InvalidTopicError,
    InvalidPositionError,
    EmptySubscriptionError,
    InvalidServiceError,
    JobArgumentsError,
    JobDefinitionError,
    ModuleLoadError,
)


RUNS_ON = frozenset({"up", "serve", "worker", "watch", "monitor", "listen", "spy"})
"""Commands that run until they are told to end."""
CODES = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no server, 130 interrupted, 143 told to end (SIGTERM) before it was done."


class _Group(TyperGroup):
    """The group of all commands. It turns an error into one line on stderr and an exit code."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        with _exit_codes():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        with _exit_codes(ctx):
            return super().invoke(ctx)


@contextmanager
def _exit_codes(context: Any = None) -> Iterator[None]:
    """Turn errors within the block into exit codes."""
    try:
        yield
    except KeyboardInterrupt as exc:
        command = None if context is None else context.invoked_subcommand
        raise typer.Exit(exit_code_of(exc, runs_on=command in RUNS_ON)) from None
    except (OutputClosedError, BrokenPipeError):
        raise typer.Exit(0) from None
    except NotifyError as exc:
        raise _failed(str(exc), _exit_code(exc)) from exc
    except UnicodeError as exc:
        raise _failed(f"an argument or a setting is not UTF-8: {exc}", 2) from exc
    except OSError as exc:
        raise _failed(f"the operating system reported an error: {exc}", 1) from exc


def _failed(message: str, code: int) -> typer.Exit:
    """Print an error on stderr. Returns the exception that ends the command with an exit code."""
    Output(as_json=False).talk(f"notify: {message}", style="red")
    return typer.Exit(code)


def _exit_code(error: NotifyError) -> int:
    if isinstance(error, USAGE_ERRORS):
        return 2
    return 3 if isinstance(error, ServerError) else 1


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=CODES,
)


def _show_version(requested: bool) -> None:
    if requested:
        sys.stdout.write(f"notify {__version__}\n")
        raise typer.Exit


@app.callback()
def notify(
    context: typer.Context,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    _version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Services that exchange events through Redis, and jobs that stop when a service they need dies."""
    context.obj = Options(url, namespace, as_json)


app.command("demo")(demo)
app.command("up")(up)
app.add_typer(serve, name="serve")
app.command("worker")(worker)
app.add_typer(workers, name="workers")
app.command("queues")(jobs.queues)
app.command("jobs")(jobs.jobs)
app.command("cron")(cron)
app.add_typer(jobs.job, name="job")
app.command("enqueue")(jobs.enqueue)
app.command("cancel")(jobs.cancel)
app.command("services")(services.services)
app.add_typer(services.service, name="service")
app.command("watch")(services.watch)
app.command("monitor")(services.monitor)
app.command("kill")(kill)
app.command("call")(call)
app.command("publish")(events.publish)
app.command("listen")(events.listen)
app.command("topics")(events.topics)
app.command("spy")(events.spy)


def main() -> None:
    """Run the command line."""
    unwind_on_signals()
    # Python sets a stream to None if the shell closed it.
    nowhere = open(os.devnull, "r+")  # noqa: SIM115  # stays open until the process ends
    sys.stdin, sys.stdout, sys.stderr = sys.stdin or nowhere, sys.stdout or nowhere, sys.stderr or nowhere
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a character that the terminal cannot show must not end the command
    try:
        code = _run()
    finally:
        ignore_signals()
    sys.exit(close_output(code))


def _run() -> int:
    """Run the command. Returns its exit code."""
    try:
        app(prog_name="notify")
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except KeyboardInterrupt as exc:
        return exit_code_of(exc)
    except OSError:  # the message about wrong usage has not reached stderr
        return 2
    return 0
