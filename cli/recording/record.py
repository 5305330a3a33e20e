"""``notify record``: records the events of topics, shows what is in a recording, and exports it."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from cli.options import AsJson, Namespace, Url, options
from cli.output import Output
from cli.recording.window import Folders, From, SkipDamaged, To, Topics, open_reader
from cli.signals import Stop
from notify import Bus, Json
from notify.flows.recording import ExportFormat, Reader, Recorder, export, export_lines
from notify.values import counted

if TYPE_CHECKING:
    from cli.output.terminal import Bar

__all__ = ["record"]

SHOW_S: Final = 0.1
"""Seconds between two looks at the numbers."""
BAR_AFTER_S: Final = 0.3
"""Seconds after which the numbers are shown: a short recording needs no bar."""
KIB: Final = 1024
MIB: Final = 1024 * KIB
COMMON: Final = {"--json": 1, "--url": 2, "--namespace": 2}
"""The options that may stand before the name of a command, and how many arguments each takes."""


class _Group(TyperGroup):
    """The group of commands; ``notify record TOPIC...`` is short for ``notify record topics TOPIC...``."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        place = 0
        while place < len(args) and args[place].partition("=")[0] in COMMON:
            place += 1 if "=" in args[place] else COMMON[args[place]]
        if place < len(args) and args[place] not in self.commands and args[place] not in ("-h", "--help"):
            args = [*args[:place], "topics", *args[place:]]
        return super().parse_args(ctx, args)


record = typer.Typer(cls=_Group, no_args_is_help=True, rich_markup_mode=None)


@record.callback()
def group(context: typer.Context, url: Url = None, namespace: Namespace = None, as_json: AsJson = False) -> None:
    """Record the events of topics in a folder, show what a recording holds, and export it.

    `notify record TOPIC... --output DIR` is short for `notify record topics TOPIC... --output DIR`.
    """
    context.obj = options(context, url=url, namespace=namespace, as_json=as_json)


@record.command("topics")
def topics(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(help="Topics and glob patterns.", metavar="TOPIC...")],
    folder: Annotated[Path, typer.Option("--output", "-o", help="The folder of the recording; it is created.", metavar="DIR")],
    since: Annotated[str | None, typer.Option("--since", help="Begin after the event with this id, or at the 'start' of the logs.")] = None,
    append: Annotated[bool, typer.Option("--append", help="Go on with the recording in the folder, after its last event.")] = False,
    compression: Annotated[str, typer.Option("--compress", help="gzip, zstd or none.")] = "gzip",
    file_mib: Annotated[int, typer.Option("--file-mib", min=1, help="Begin another file at this size, in MiB.")] = 64,
    flush_s: Annotated[float, typer.Option("--flush", min=0.01, help="Seconds until an event is in the file.")] = 1.0,
    count: Annotated[int | None, typer.Option("--count", "-c", min=1, help="End after this number of events.")] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", min=0, help="End after this number of seconds.")] = None,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Record the events of topics until Ctrl-C. What was flushed can be read whatever happens to this process."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    kind: Any = compression  # `Recorder` checks it
    with chosen.connect(name="notify-record") as bus, Stop() as stop:
        recorder = Recorder(
            bus,
            *names,
            folder=folder,
            since=since,
            compression=kind,
            max_file_bytes=file_mib * MIB,
            flush_s=flush_s,
            append=append,
            max_events=count,
        )
        recorder.start()  # one that cannot start has no numbers to tell
        try:
            with recorder:
                chosen.output.talk(f"recording {', '.join(names)} on {bus.redis.address} in {folder}")
                _tell_of_unknown(chosen.output, bus, names)
                _watch(chosen.output, recorder, stop, seconds)
        finally:
            _tell_numbers(chosen.output, recorder, folder)


@record.command("info")
def info(
    context: typer.Context,
    folders: Folders,
    check: Annotated[bool, typer.Option("--check", help="Read everything, and compare the checksums.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what is in recordings: when, from where, the number of events and gaps of each topic, and what is damaged."""
    output = options(context, url=None, namespace=None, as_json=as_json).output
    is_damaged = False
    for folder in folders:
        reader = Reader(folder, on_damage="skip")
        if check:
            for _ in reader.lines():
                pass
        _show(output, folder, reader)
        is_damaged |= any(not damage.is_truncated for damage in reader.damages)
    if is_damaged:
        raise typer.Exit(1)


@record.command("export")
def export_recordings(
    context: typer.Context,
    folders: Folders,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV.")] = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="As JSON lines; this is the default.")] = False,
    parquet: Annotated[bool, typer.Option("--parquet", help="As Parquet, with the extra of that name; needs --output.")] = False,
    path: Annotated[Path | None, typer.Option("--output", "-o", help="A new file; by default stdout.", metavar="FILE")] = None,
    begin: From = None,
    end: To = None,
    topics: Topics = None,
    skip_damaged: SkipDamaged = False,
    as_json: AsJson = False,
) -> None:
    """Export recordings as JSON lines, CSV or Parquet."""
    output = options(context, url=None, namespace=None, as_json=as_json).output
    if csv + jsonl + parquet > 1:
        raise typer.BadParameter("an export has one format: choose --csv, --jsonl or --parquet")
    if parquet and path is None:
        raise typer.BadParameter("Parquet is no text: give a file with --output")
    kind: ExportFormat = "parquet" if parquet else "csv" if csv else "jsonl"
    reader = open_reader(folders, begin=begin, end=end, topics=topics, skip_damaged=skip_damaged)
    if path is None:
        for line in export_lines(reader, "csv" if csv else "jsonl"):
            output.line(line)
        return
    written = export(reader, path, kind)
    what = "1 event or gap" if written == 1 else f"{written} events and gaps"
    output.record({"file": str(path), "format": kind, "events": written}, f"{what} in {path}")


def _tell_of_unknown(output: Output, bus: Bus, names: list[str]) -> None:
    known = set(bus.topics())
    unknown = [name for name in names if name not in known and not any(letter in name for letter in "*?[")]
    if unknown:
        output.talk(f"there was no event on {', '.join(unknown)} yet: check the name if none comes")


def _watch(output: Output, recorder: Recorder, stop: Stop, seconds: float | None) -> None:
    """Show the numbers on a terminal until the recording is to end."""
    began_at = time.monotonic()
    deadline = None if seconds is None else began_at + seconds
    bar: Bar | None = None
    try:
        while recorder.is_running and (deadline is None or time.monotonic() < deadline):
            left_s = SHOW_S if deadline is None else max(0.0, min(SHOW_S, deadline - time.monotonic()))
            if stop.wait(left_s):
                break
            if bar is None and time.monotonic() - began_at > BAR_AFTER_S:
                bar = output.bar()
            if bar is not None:
                numbers = recorder.counters
                bar.show(numbers.flushed, max(1, numbers.events + numbers.gaps), _numbers(recorder))
    finally:
        if bar is not None:
            bar.close()


def _tell_numbers(output: Output, recorder: Recorder, folder: Path) -> None:
    numbers = recorder.counters
    record: dict[str, Json] = {
        "folder": str(folder),
        "events": numbers.events,
        "gaps": numbers.gaps,
        "flushed": numbers.flushed,
        "refused": numbers.refused,
        "bytes": numbers.bytes_written,
    }
    if output.as_json:
        output.record(record, "")
    else:
        output.talk(f"{_numbers(recorder)}, in {folder}")


def _numbers(recorder: Recorder) -> str:
    numbers = recorder.counters
    more = [
        f"{counted(numbers.gaps, 'gap')}, in which events were lost before" if numbers.gaps else "",
        f"{counted(numbers.refused, 'event')} that cannot be recorded" if numbers.refused else "",
        f"{numbers.events + numbers.gaps - numbers.flushed} not written" if numbers.events + numbers.gaps > numbers.flushed else "",
    ]
    return ", ".join([counted(numbers.events, "event"), *filter(None, more), _size(numbers.bytes_written)])


def _size(count: int) -> str:
    """Return a number of bytes for people."""
    if count < MIB / 10:
        return counted(count, "byte") if count < KIB else f"{count / KIB:.1f} KiB"
    return f"{count / MIB:.1f} MiB"


def _show(output: Output, folder: Path, reader: Reader) -> None:
    (header,) = reader.headers
    span, counts = reader.span, reader.summaries()
    first, last = (None, None) if span is None else (time.isoformat() for time in span)
    record: dict[str, Json] = {
        "folder": str(folder),
        "started": header.started.isoformat(),
        "namespace": header.namespace,
        "subscribed": list(header.topics),
        "compression": header.compression,
        "first": first,
        "last": last,
        "bytes": reader.size,
        "events": sum(each.events for each in counts),
        "gaps": sum(each.gaps for each in counts),
        "topics": {each.topic: {"events": each.events, "gaps": each.gaps} for each in counts},
        "damages": [str(damage) for damage in reader.damages],
    }
    plain = [
        (name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)) for name, value in record.items() if name not in _LONG
    ]
    rows = [("topic", each.topic, counted(each.events, "event"), *([counted(each.gaps, "gap")] if each.gaps else [])) for each in counts]
    output.lines(record, [*plain, *rows, *(("damaged", str(damage)) for damage in reader.damages)])


_LONG: Final = frozenset({"topics", "damages"})
"""What has lines of its own."""
