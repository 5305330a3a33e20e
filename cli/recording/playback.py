"""``notify replay``: publishes the events of recordings again."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from cli.options import AsJson, Namespace, Url, options
from cli.output import Output
from cli.recording.keys import KeyReader
from cli.recording.window import Folders, From, SkipDamaged, To, Topics, open_reader, time_of
from notify import Json, RecordingError
from notify.flows.recording import Reader, Replay
from notify.values import counted

if TYPE_CHECKING:
    from cli.output.terminal import Bar

__all__ = ["replay"]

SHOW_S: Final = 0.1
"""Seconds between two looks at keys and numbers."""
BAR_AFTER_S: Final = 0.3
"""Seconds after which the progress is shown: a short replay needs no bar."""


def replay(
    context: typer.Context,
    folders: Folders,
    speed: Annotated[str, typer.Option("--speed", help="2 is twice as fast, 0.5 half as fast, max as fast as possible.")] = "1",
    begin: From = None,
    end: To = None,
    topics: Topics = None,
    pause_at: Annotated[list[str] | None, typer.Option("--pause-at", help="Pause before this time, until a key; may be repeated.")] = None,
    into: Annotated[
        str | None, typer.Option("--into", help="Namespace to publish in; else that of --namespace, if the events are not from it.")
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Begin anew at the end, until Ctrl-C.")] = False,
    own_topics: Annotated[
        bool, typer.Option("--own-topics", help="Publish also on services, cron, job.* and *_status, whose readers would believe it.")
    ] = False,
    skip_damaged: SkipDamaged = False,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Publish the events of recordings again, at their pace. On a terminal: space pauses and goes on, s steps, q ends."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    chosen = msgspec.structs.replace(chosen, namespace=into if into is not None else chosen.namespace)
    factor = _speed(speed)
    target = chosen.settings.namespace
    reader = open_reader(folders, begin=begin, end=end, topics=topics, skip_damaged=skip_damaged)
    if into is None and any(header.namespace == target for header in reader.headers):
        raise typer.BadParameter(
            f"the events are from the namespace {target!r} and would mix with live ones: give another one with --into, or --into {target}"
        )
    span = reader.span
    pauses = [time_of(text, None if span is None else span[0]) for text in pause_at or ()]
    with KeyReader() as keys:
        if pauses and not keys.is_open:
            raise typer.BadParameter("--pause-at needs a terminal: nobody could let the replay go on")
        with chosen.connect(name="notify-replay") as bus:
            running = Replay(reader, bus, speed=factor, loop=loop, pause_at=pauses, own_topics=own_topics)
            shown = _Shown(chosen.output, running, reader, target)
            try:
                with running:
                    shown.open(bus.redis.address, has_keys=keys.is_open)
                    _follow(running, keys, shown)
            finally:
                shown.close()
    if running.progress.refused:
        raise RecordingError(f"{counted(running.progress.refused, 'event')} refused, see above: the others are published")


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        return float(text)
    except ValueError as exc:
        raise typer.BadParameter(f"the speed is {text!r}: give a number, such as 2 or 0.5, or max") from exc


def _follow(running: Replay, keys: KeyReader, shown: "_Shown") -> None:
    """Obey keys, and show the progress, until the end."""
    while not running.wait(0 if keys.is_open else SHOW_S):
        key = keys.pressed(SHOW_S) if keys.is_open else ""
        if key == " ":
            _ = running.pause() or running.start()
        elif key in ("s", "."):
            running.step()
        elif key == "q":
            return
        shown.show()


class _Shown:
    """What a person sees of a replay: a bar on a terminal, and the numbers at the end."""

    def __init__(self, output: Output, running: Replay, reader: Reader, namespace: str) -> None:
        self._output, self._running, self._namespace = output, running, namespace
        self._span: Sequence[datetime] | None = reader.span
        self._reader = reader
        self._bar: Bar | None = None
        self._began_at = time.monotonic()

    def open(self, address: str, *, has_keys: bool) -> None:
        """Say what begins."""
        how = ": space pauses and goes on, s steps, q ends" if has_keys else ""
        self._output.talk(f"replaying into the namespace {self._namespace!r} on {address}{how}")

    def show(self) -> None:
        """Move the bar, if the replay has taken long enough to have one."""
        progress = self._running.progress
        if self._span is None or progress.at is None or time.monotonic() - self._began_at < BAR_AFTER_S:
            return
        self._bar = self._bar or self._output.bar()
        if self._bar is None:
            return
        first, last = self._span
        total_s = max((last - first).total_seconds(), 0.001)
        state = ", paused" if progress.state == "paused" else ""
        summary = f"{progress.at:%Y-%m-%d %H:%M:%S}Z, {counted(progress.events, 'event')}{state}"
        self._bar.show(round((progress.at - first).total_seconds() * 1000), round(total_s * 1000), summary)

    def close(self) -> None:
        """Print the numbers."""
        if self._bar is not None:
            self._bar.close()
        progress, seconds = self._running.progress, time.monotonic() - self._began_at
        missing = sum(damage.lost or 0 for damage in self._reader.damages)
        if self._output.as_json:
            record: dict[str, Json] = {
                "namespace": self._namespace,
                "events": progress.events,
                "gaps": progress.gaps,
                "refused": progress.refused,
                "left_out": progress.left_out,
                "missing": missing,
                "seconds": round(seconds, 3),
            }
            self._output.record(record, "")
            return
        more = [
            f"{counted(progress.gaps, 'gap')}, in which events were lost before they were recorded" if progress.gaps else "",
            f"{counted(progress.left_out, 'event')} on topics of Notify itself left out (--own-topics)" if progress.left_out else "",
            f"{progress.refused} refused" if progress.refused else "",
            f"{missing} missing in damaged or short files" if missing else "",
        ]
        self._output.talk(", ".join([f"{counted(progress.events, 'event')} in {seconds:.1f} s", *filter(None, more)]))
