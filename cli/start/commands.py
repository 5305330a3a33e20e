"""The list of commands, and the group that imports a command when it is called, and not when it is listed."""

from importlib import import_module
from typing import Any, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from cli.start.given import add_log_options
from cli.start.plain_values import read_plainly

__all__ = ["COMMANDS", "Command", "CommandGroup"]


class Command(NamedTuple):
    """A command, or a group of commands, that is not imported yet.

    Args:
        name: its name on the command line.
        module: the module that defines it, under the same name.
        help: the first sentence of its own help, for the list of commands.
    """

    name: str
    module: str
    help: str

    def load(self) -> Any:
        """Import the module. Returns the command as Typer runs it."""
        found = getattr(import_module(self.module), self.name)
        if isinstance(found, typer.Typer):
            loaded: Any = typer.main.get_group(found)
        else:
            own = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
            own.command(self.name)(found)
            loaded = typer.main.get_command(own)
        loaded.name = self.name
        add_log_options(loaded)
        read_plainly(loaded)
        return loaded


COMMANDS: Final = (
    Command(
        "demo", "cli.lab", "Log a temperature by jobs in worker processes, kill the storage, and show how each job ended: a line a job."
    ),
    Command(
        "up",
        "cli.lab",
        "Run a server, the storage, thermometer and recorder, and workers, and print all events; Ctrl-C stops them in order.",
    ),
    Command("worker", "cli.worker", "Run workers until Ctrl-C or SIGTERM."),
    Command("queues", "cli.jobs", "List the queues: number of jobs by status, the age of the oldest waiting job (latency), and workers."),
    Command("jobs", "cli.jobs", "List jobs, the newest first."),
    Command("cron", "cli.jobs", "List the recurring jobs, the one that is due next first."),
    Command(
        "history",
        "cli.jobs",
        "Show how much happened in the last hour or days: jobs by function, events by topic, ends of services, requests by method.",
    ),
    Command("enqueue", "cli.jobs", "Enqueue a call of a function, and print the id of the job."),
    Command("cancel", "cli.jobs", "Cancel the waiting jobs that need a service, or any service with a capability."),
    Command("services", "cli.services", "List the registered services."),
    Command(
        "watch",
        "cli.services",
        "Print each service that registers, is suspected or is withdrawn, until Ctrl-C; begins with the registered services.",
    ),
    Command("monitor", "cli.services", "Sweep the directory from a process of its own, until Ctrl-C."),
    Command(
        "kill", "cli.services.killing", "End a service: withdraw it at once, apply the loss to the jobs that need it, and tell its process."
    ),
    Command("call", "cli.services", "Call a method of a service, and print its result."),
    Command("publish", "cli.events", "Publish an event, and print its id."),
    Command("listen", "cli.events", "Print events as they happen, until Ctrl-C."),
    Command("topics", "cli.events", "List the known topics: number of events, rate over the last minute, length of the log, subscribers."),
    Command("spy", "cli.events", "Print all events with source and id, also those published by hand with redis-cli, until Ctrl-C."),
    Command(
        "top",
        "cli.top",
        "Show what goes on, live: jobs, queues, workers, services and topics; kill a service, cancel a job, stop a worker.",
    ),
    Command("record", "cli.recording", "Record the events of topics in a folder, show what a recording holds, and export it."),
    Command("replay", "cli.recording", "Publish the events of recordings again, at their pace."),
    Command("flow", "cli.flow", "Run, check and draw flows from files."),
    Command("gateway", "cli.flow", "Pass events between TCP and topics until Ctrl-C."),
    Command("chat", "cli.flow", "Chat by TCP until Ctrl-D or Ctrl-C: with HOST as a client, else as the server."),
    Command("serve", "cli.lab", "Run a built-in service until Ctrl-C."),
    Command("web", "cli.web", "Serve a page that shows jobs, services, queues, workers and topics as they change, until Ctrl-C."),
    Command("workers", "cli.worker", "List the workers of the server, on all hosts: what each does, its memory, and since when it runs."),
    Command("job", "cli.jobs", "Show, explain, cancel, retry, release, delete or await one job; with --all many."),
    Command("service", "cli.services", "Show one service."),
    Command("asyncapi", "cli.asyncapi", "Describe the messages, jobs and services of modules as an AsyncAPI 3 document."),
    Command("metrics", "cli.health", "Serve metrics for Prometheus, /healthz and /readyz, until Ctrl-C."),
    Command("healthcheck", "cli.health", "Ask whether a worker or a service is well: exit code 0 if it is, else 1."),
    Command(
        "doctor", "cli.health", "Look at the server and at all that Notify keeps there, and say what is wrong and what to do about it."
    ),
)


class CommandGroup(TyperGroup):
    """The group of all commands. It lists them without importing any; the one that is called is imported."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        add_log_options(self)
        read_plainly(self)  # the options that stand before the name of the command
        for command in COMMANDS:
            listed = TyperCommand(command.name, help=command.help, short_help=command.help, rich_markup_mode=None)
            self.commands.setdefault(command.name, listed)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is called, and import it; also to complete its options."""
        name, listed, rest = super().resolve_command(ctx, args)
        if listed is None:
            return name, listed, rest
        ctx.invoked_subcommand = name  # Click sets it too late: a signal during the import below ends this command, with its exit code
        return name, next(command for command in COMMANDS if command.name == listed.name).load(), rest
