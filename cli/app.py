"""The ``notify`` command: the group of commands, and how errors and signals become exit codes; `CODES` names them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any

import typer

from cli.start import (
    AsJson,
    CommandGroup,
    Given,
    Namespace,
    Url,
    UsageError,
    close_streams,
    exit_code_of,
    ignore_signals,
    open_streams,
    tell,
    unwind_on_signals,
    usage_problem,
)

__all__ = ["app", "main"]

RUNS_ON = frozenset({"up", "serve", "worker", "watch", "monitor", "listen", "spy", "flow", "gateway", "chat", "metrics", "web", "top"})
"""Commands that run until they are told to end."""
CODES = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no server, 4 jobs were ended before they were done, 5 its service was killed, "
    "130 interrupted, 143 told to end (SIGTERM) before it was done."
)


class _Group(CommandGroup):
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
    except (typer.Exit, typer.Abort):  # an end, such as that of --help, and no error
        raise
    except Exception as exc:
        problem = usage_problem(exc) if isinstance(exc, UsageError) else None
        if problem is not None:
            tell(problem)
            raise typer.Exit(2) from exc
        # Before `notify` is imported there is none of its errors, and wrong usage is told without that import.
        if "notify.errors" not in sys.modules and not isinstance(exc, OSError | UnicodeError):
            raise
        code = import_module("cli.output.failure").print_failure(exc)
        if code is None:
            raise
        raise typer.Exit(code) from exc


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=CODES,
)


def _show_version(requested: bool) -> None:
    if requested:
        import_module("cli.output").Output(as_json=False).line(f"notify {import_module('notify').__version__}")
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
    context.obj = Given(url, namespace, as_json)


def main() -> None:
    """Run the command line."""
    unwind_on_signals()
    open_streams()
    try:
        code = _run()
    finally:
        ignore_signals()
    sys.exit(close_streams(code))


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
    except Exception as exc:  # a fault of ours
        import_module("cli.output.failure").print_fault(exc)
        return 1
    return 0
