"""``notify publish``, ``listen``, ``topics`` and ``spy``: events in both directions."""

import sys
import time
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

import msgspec
import typer

from cli.options import AsJson, Header, Namespace, Url, json_or_text, json_problem, options
from cli.output import Output
from notify import Event, Json, cloudevent_of, event_of_cloudevent
from notify.process import printable_json

__all__ = ["listen", "publish", "spy", "topics"]


class Format(StrEnum):
    """The form of events."""

    PLAIN = "plain"
    CLOUDEVENTS = "cloudevents"


def publish(
    context: typer.Context,
    topic: Annotated[str, typer.Argument(help="Topic of the event.")],
    contents: Annotated[
        str | None,
        typer.Argument(help="JSON, or else text; by default each line of stdin that is not blank is an event.", show_default=False),
    ] = None,
    retain_s: Annotated[
        float | None, typer.Option("--retain", help="Seconds for which new subscribers receive it at once; -1 for ever.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Publish JSON only: text that is no JSON is an error.")] = False,
    form: Annotated[
        Format, typer.Option("--format", help="Form of the contents; a CloudEvent is published once, however often it is given.")
    ] = Format.PLAIN,
    key: Annotated[str | None, typer.Option("--key", help="Idempotency key: a second event with the same key is not published.")] = None,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Publish an event, and print its id. What is no JSON is published as text; a message says so if it looks like broken JSON."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    if contents is None and sys.stdin.isatty():
        raise typer.BadParameter("there are no contents: give them as an argument, or pipe them in line by line")
    if contents is None and key is not None:
        raise typer.BadParameter("--key is for a single event: give its contents as an argument")
    lines = [(contents, "it")] if contents is not None else _lines_of_stdin()
    output = chosen.output
    with chosen.connect(name="notify-publish") as bus:
        publisher = bus.register_publisher(topic) if form is Format.CLOUDEVENTS else None
        for line, place in lines:
            if publisher is not None:
                event, own_key = event_of_cloudevent(line, topic=topic)
                event_id = publisher(event, retain_s=retain_s, key=key or own_key)
            else:
                event_id = bus.publish(topic, _contents(line, place, output, strict=strict), retain_s=retain_s, key=key)
            output.record({"topic": topic, "id": event_id}, event_id)


def listen(
    context: typer.Context,
    topics: Annotated[list[str] | None, typer.Argument(help="Topics and glob patterns; by default all topics.", show_default=False)] = None,
    count: Annotated[int | None, typer.Option("--count", "-c", min=1, help="End after this number of events.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="Begin after the event with this id, or at the 'start' of the logs.")] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", min=0, help="End after this number of seconds.")] = None,
    form: Annotated[Format, typer.Option("--format", help="cloudevents: one CloudEvent in JSON a line.")] = Format.PLAIN,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Print events as they happen, until Ctrl-C."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    output = chosen.output
    deadline = None if seconds is None else time.monotonic() + seconds
    with chosen.connect(name="notify-listen") as bus, bus.subscribe(*(topics or ["*"]), since=since) as subscriber:
        output.talk(f"listening to {', '.join(topics or ['*'])} on {bus.redis.address}")
        heard = 0
        while (count is None or heard < count) and (deadline is None or time.monotonic() < deadline):
            item = subscriber.get(None if deadline is None else max(0.0, deadline - time.monotonic()))
            if item is not None:
                if form is Format.CLOUDEVENTS and isinstance(item, Event):
                    as_one = cloudevent_of(item)
                    output.record(as_one, printable_json(msgspec.json.encode(as_one).decode()))
                else:
                    output.item(item)
                heard += isinstance(item, Event)


def topics(context: typer.Context, header: Header = None, url: Url = None, namespace: Namespace = None, as_json: AsJson = False) -> None:
    """List the known topics: number of events, rate over the last minute, length of the log, subscribers."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-topics") as bus:
        rows = [
            {**msgspec.structs.asdict(topic), "last": topic.last.isoformat(timespec="milliseconds") if topic.last else None}
            for topic in bus.traffic()
        ]
        columns = ("topic", "events", "per_s", "log_length", "subscribers", "last")
        chosen.output.table(columns, rows, empty=f"no event was published on {bus.redis.address} yet", header=header)


def spy(
    context: typer.Context,
    count: Annotated[int | None, typer.Option("--count", "-c", min=1, help="End after this number of events.")] = None,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Print all events with source and id, also those published by hand with redis-cli, until Ctrl-C."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-spy") as bus, bus.subscribe("*") as subscriber:
        chosen.output.talk(f"spying on {bus.redis.address}")
        seen = 0
        for item in subscriber:
            chosen.output.item(item, verbose=True)
            seen += isinstance(item, Event)
            if count is not None and seen >= count:
                return


def _contents(text: str, place: str, output: Output, *, strict: bool) -> Json:
    """Return the contents of an event, decoded if they are JSON. Say so if they look like JSON that is broken.

    Args:
        text: the contents.
        place: what to call them in a message: ``it``, or their line.
        output: for the message.
        strict: accept nothing but JSON.

    Raises:
        typer.BadParameter: they are no JSON, and nothing else is accepted.
    """
    problem = json_problem(text)
    if problem is not None and strict:
        raise typer.BadParameter(f"{place} is no JSON, and --strict accepts nothing else: {problem}")
    if problem is not None and text.lstrip().startswith(("{", "[", '"')):
        output.talk(f"sent as text; {place} is no JSON: {problem} (--strict refuses such contents)")
    return json_or_text(text)


def _lines_of_stdin() -> Iterator[tuple[str, str]]:
    """Yield each line that is not blank, with its place, as soon as it arrives."""
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            text = line.decode().rstrip("\r\n")
        except UnicodeDecodeError as exc:
            raise typer.BadParameter(f"line {number} of stdin is not UTF-8: convert the input, for example with iconv") from exc
        if text and not text.isspace():
            yield text, f"line {number} of stdin"
