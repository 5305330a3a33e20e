"""``notify chat``: a server that passes each line to all that listen, and a client whose input line is not overtyped."""

import getpass
import queue
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Annotated, Any, Final

import typer

from cli.flow.loading import Loaded
from cli.flow.network import address_of
from cli.flow.running import run
from cli.options import AsJson, Namespace, Options, Url, options
from cli.signals import Stop
from notify import SettingsError
from notify.flows import Flow, Source, TCPClient, TCPServer, graph, pipeline, stage
from notify.flows.lines import stdin_lines
from notify.process import SafeFormatter, log_to_stderr

__all__ = ["chat"]

LISTEN: Final = "1600"
TALK: Final = "1601"


def chat(
    context: typer.Context,
    host: Annotated[str | None, typer.Argument(help="Server to chat by; without it this is the server.", show_default=False)] = None,
    listen: Annotated[str, typer.Option("--listen", metavar="[HOST:]PORT", help="Port that sends each line to all that connect.")] = LISTEN,
    talk: Annotated[str, typer.Option("--talk", metavar="[HOST:]PORT", help="Port that takes lines.")] = TALK,
    name: Annotated[str | None, typer.Option("--name", help="Your name before each line.", show_default="the name of the user")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for a server that is not there yet.")] = False,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Chat by TCP until Ctrl-D or Ctrl-C: with HOST as a client, else as the server."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    (listen_host, listen_port), (talk_host, talk_port) = address_of(listen), address_of(talk)
    if host is None:
        _serve(chosen, TCPServer(listen_port, listen_host), TCPServer(talk_port, talk_host))
        return
    own = getpass.getuser() if name is None else name
    ends = TCPClient(host, listen_port, waits=wait), TCPClient(host, talk_port, waits=wait)
    if sys.stdin.isatty() and sys.stdout.isatty():
        _talk_on_terminal(chosen, own, *ends)
    else:
        _talk(chosen, own, *ends)


def _serve(chosen: Options, listen: TCPServer, talk: TCPServer) -> None:
    """Pass on the lines of all talkers to all listeners until a signal."""
    output = chosen.output
    with Stop() as stop:
        flow = pipeline(stage(talk, name="talk"), stage(listen, name="listen", on_error="skip"), name="chat")
        run(Loaded(flow), stop, output, ready=lambda: f"chat: listen at {listen.address}, talk at {talk.address}")


def _talk(chosen: Options, name: str, listen: TCPClient, talk: TCPClient) -> None:
    """Send the lines of stdin, and print what comes, until stdin ends."""
    output = chosen.output
    with Stop() as stop:
        typed = Ending(stdin_lines())
        flow = _flow(name, listen, talk, typed, lambda line: output.record({"line": line}, line))
        typed.on_end = flow.stop
        run(Loaded(flow), stop, output, ready=lambda: f"chatting by {listen.address} as {name}")


def _talk_on_terminal(chosen: Options, name: str, listen: TCPClient, talk: TCPClient) -> None:
    """Send what is typed into a line at the bottom of the terminal; what comes is printed above it."""
    try:
        prompts, patched = import_module("prompt_toolkit"), import_module("prompt_toolkit.patch_stdout")
    except ImportError as exc:
        raise SettingsError(
            "the chat on a terminal needs prompt_toolkit: pip install 'notify-workers[chat]', or pipe the lines into the command"
        ) from exc
    typed = Typed()
    above: AbstractContextManager[None] = patched.patch_stdout(raw=True)
    with above:
        log_to_stderr(SafeFormatter("%(levelname)s %(name)s: %(message)s"), level="WARNING")  # above the input line as well
        output = chosen.output
        with _flow(name, listen, talk, typed, lambda line: output.record({"line": line}, line)):
            session: Any = prompts.PromptSession(f"{name}> ", erase_when_done=True)
            try:
                while True:
                    typed.put(session.prompt())
            except EOFError:
                return


def _flow(name: str, listen: TCPClient, talk: TCPClient, typed: Source, show: Callable[[str], object]) -> Flow:
    return graph(
        nodes={
            "listen": listen,
            "show": show,
            "typed": typed,
            "named": lambda line: f"{name}: {line}" if line.strip() else None,
            "talk": stage(talk, on_error="skip"),
        },
        links=[("listen", "show"), ("typed", "named"), ("named", "talk")],
        name="chat",
    )


class Typed(Source):
    """Gives the lines that are put in."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def put(self, line: str) -> None:
        """Add a line."""
        self._lines.put(line)

    def __iter__(self) -> Iterator[str]:
        while (line := self._lines.get()) is not None:
            yield line

    def stop(self) -> None:
        self._lines.put(None)


class Ending(Source):
    """Another source, at whose end the whole flow is to end.

    Args:
        source: the source.
    """

    def __init__(self, source: Source) -> None:
        self._source: Any = source
        self.on_end: Callable[[], object] = lambda: None

    def open(self, context: Any) -> object:
        return self._source.open(context)

    def __iter__(self) -> Iterator[Any]:
        yield from self._source
        self.on_end()

    def stop(self) -> None:
        self._source.stop()

    def close(self) -> object:
        return self._source.close()
