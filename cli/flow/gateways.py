"""``notify gateway``: events come in by TCP, or go out to all that connect, without a file."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Any

import msgspec
import typer

from cli.flow.loading import Loaded
from cli.flow.network import address_of, token_in
from cli.flow.running import run
from cli.options import AsJson, Namespace, Options, Url, options
from cli.signals import Stop
from notify import Bus, Event, Message, provides
from notify.flows import Flow, FlowProgram, TCPClient, TCPServer, contents, pipeline, publish_to, stage, subscribe_to

__all__ = ["gateway"]

gateway = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


class Framing(StrEnum):
    """How bytes become items."""

    LINES = "lines"
    JSON = "json"
    LENGTH = "length"


Tcp = Annotated[
    str, typer.Option("--tcp", metavar="[HOST:]PORT", help="Where to listen: by default for this machine only; * is all hosts.")
]
Connect = Annotated[bool, typer.Option("--connect", help="Connect to that address, again and again, instead of listening there.")]
Framed = Annotated[Framing, typer.Option("--framing", help="Lines of text, JSON lines, or frames behind their lengths.")]
Name = Annotated[str | None, typer.Option("--name", help="Name of the gateway's service.", show_default="gateway-in-PORT")]
Token = Annotated[Path | None, typer.Option("--token-file", help="File with a secret, which each client sends as its first line.")]
Allow = Annotated[list[str] | None, typer.Option("--allow", help="Network that clients may connect from, such as 10.0.0.0/8; repeatable.")]
Clients = Annotated[int, typer.Option("--max-clients", min=1, help="So many clients may be connected.")]
Needs = Annotated[list[str] | None, typer.Option("--needs", help="Service without which nothing is passed on; repeatable.")]
Progress = Annotated[bool, typer.Option("--progress", help="Show the counters of each node on stderr.")]


@gateway.callback()
def gateways(context: typer.Context, url: Url = None, namespace: Namespace = None, as_json: AsJson = False) -> None:
    """Pass events between TCP and topics until Ctrl-C."""
    context.obj = options(context, url=url, namespace=namespace, as_json=as_json)


@gateway.command("in")
def come_in(
    context: typer.Context,
    tcp: Tcp,
    topic: Annotated[str, typer.Option("--topic", help="Topic to publish on.")],
    connect: Connect = False,
    framing: Framed = Framing.LINES,
    single: Annotated[bool, typer.Option("--single-client", help="One client at a time; others are refused.")] = False,
    waits_for: Annotated[
        str | None, typer.Option("--waits-for", metavar="POSITION", help="Take no more while the gateway with this --position is behind.")
    ] = None,
    max_clients: Clients = 1000,
    allow: Allow = None,
    token: Token = None,
    needs: Needs = None,
    name: Name = None,
    progress: Progress = False,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Publish each line that comes in by TCP."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    listening = {"single_client": single, "max_clients": max_clients, "allowed": allow}
    end = _end(tcp, framing, connect=connect, token=token, listening=listening)

    def flow(bus: Bus) -> Flow:
        return pipeline(
            stage(end.work, name="tcp"),
            stage(publish_to(bus, topic, waits_for=waits_for), name="publish", on_error="skip"),
            name=name or f"gateway-in-{end.port or token_hex(4)}",
        )

    _run(chosen, flow, needs, lambda: f"{end.work.address} -> {topic}", has_progress=progress)


@gateway.command("out")
def go_out(
    context: typer.Context,
    tcp: Tcp,
    topic: Annotated[list[str], typer.Option("--topic", help="Topic or pattern to send; repeatable.")],
    connect: Connect = False,
    framing: Framed = Framing.LINES,
    whole: Annotated[
        bool, typer.Option("--events", help="Send whole events as JSON, with topic and time, and not only their contents.")
    ] = False,
    since: Annotated[str | None, typer.Option("--since", help="Begin after the event with this id, or at the 'start' of the logs.")] = None,
    position: Annotated[str | None, typer.Option("--position", help="Name of a position in Redis: go on where the last one ended.")] = None,
    max_clients: Clients = 1000,
    allow: Allow = None,
    token: Token = None,
    needs: Needs = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the gateway's service.", show_default="gateway-out-PORT")] = None,
    progress: Progress = False,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Send the events of topics to all that connect."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    end = _end(tcp, framing, connect=connect, token=token, listening={"max_clients": max_clients, "allowed": allow})

    def flow(bus: Bus) -> Flow:
        source = subscribe_to(bus, *topic, since=since, position=position)
        sink = stage(end.work, name="tcp", on_error="skip")
        return pipeline(
            stage(source, name="subscribe"), _whole if whole else contents, sink, name=name or f"gateway-out-{end.port or token_hex(4)}"
        )

    _run(chosen, flow, needs, lambda: f"{', '.join(topic)} -> {end.work.address}", has_progress=progress)


class End(msgspec.Struct, frozen=True):
    """The network's end of a gateway, and its port as it was given."""

    work: TCPServer | TCPClient
    port: int


def _end(tcp: str, framing: Framing, *, connect: bool, token: Path | None, listening: Mapping[str, Any]) -> End:
    """Return the server, or the client, of a gateway."""
    host, port = address_of(tcp)
    secret = None if token is None else token_in(token)
    if connect:
        return End(TCPClient(host, port, framing=framing.value, token=secret), port)
    return End(TCPServer(port, host, framing=framing.value, token=secret, **listening), port)


def _run(chosen: Options, make: Callable[[Bus], Flow], needs: list[str] | None, what: Callable[[], str], *, has_progress: bool) -> None:
    """Run a gateway as a service."""
    output = chosen.output
    with Stop() as stop, chosen.connect(name="notify-gateway") as bus:
        wanted = [provides(need.removeprefix("any ")) if need.startswith("any ") else need for need in needs or ()]
        program = FlowProgram(bus, make(bus), needs=wanted)
        loaded = Loaded(program.flow, program)
        run(loaded, stop, output, ready=lambda: f"{program.service.name}: {what()}", has_progress=has_progress)


def _whole(event: Event) -> dict[str, Any]:
    """Return an event as a record."""
    value = event.contents.to_contents() if isinstance(event.contents, Message) else event.contents
    return {"topic": event.topic, "time": event.time.isoformat(), "id": event.id, "contents": value}
