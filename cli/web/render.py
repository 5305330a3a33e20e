"""Templates become HTML here: every text is escaped, and has no character that a terminal or a browser would obey."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from cli.output import one_line
from cli.web.access import Viewer
from notify.process import printable
from workers import Job
from workers.overview import moment_of

__all__ = ["render", "shown_json", "span"]

MOST_CHARS: Final = 20_000
"""Of a longer value the beginning is shown."""
NOTHING: Final = "\N{EN DASH}"
"""Stands for a value that is not there."""
MOST_LINE: Final = 600
"""Characters of the contents of an event that are shown."""


def render(template: str, context: Mapping[str, Any], *, root: str, viewer: Viewer | None) -> str:
    """Return the HTML of a template.

    Args:
        template: its name, without ``.html``.
        context: its values.
        root: the path that the page is mounted at, without a slash at the end.
        viewer: who looks.
    """

    def link(path: str, /, **query: Any) -> str:
        given = {name: value for name, value in query.items() if value not in (None, "", [])}
        return root + quote(path, safe="/:@") + (f"?{urlencode(given, doseq=True)}" if given else "")

    def back_to(path: str) -> str:
        is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
        return path if is_ours and root and path.startswith(f"{root}/") else root + (path if is_ours else "/")

    may_act = viewer is not None and viewer.role == "act"
    return _templates().get_template(f"{template}.html").render({**context, "link": link, "back_to": back_to, "may_act": may_act})


@cache
def _templates() -> Environment:
    """Return the templates, which are compiled when they are used first."""
    templates = Environment(
        loader=PackageLoader("cli.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(
        {
            **{"span": span, "n": _count, "json": shown_json, "lines": _lines, "moment": _moment, "ago": _ago},
            **{"memory": _memory, "per_s": _per_s, "ran": _ran, "short": _short},
        }
    )
    return templates


def span(seconds: float | None) -> str:
    """Return a number of seconds for people: ``12 ms``, ``3.4 s``, ``12 min``, ``7 h``, ``30 d``; a dash for ``None``."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    seconds = max(0.0, seconds)
    for size, unit, name in ((172_800, 86_400, "d"), (7_200, 3_600, "h"), (120, 60, "min")):
        if seconds >= size:
            return f"{seconds / unit:.0f} {name}"
    if seconds >= 10 or not seconds:
        return f"{seconds:.0f} s"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{max(1, round(seconds * 1000))} ms"


def shown_json(value: Any) -> str:
    """Return a value as JSON in lines, of a long one the beginning."""
    try:
        text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        text = repr(value)
    return text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]}… ({len(text):,} characters)"


def _finalized(value: Any) -> Any:
    """Return a value of a template as it may be shown."""
    return printable(value) if type(value) is str else value


def _count(number: float | None) -> Markup:
    """Return a number with narrow spaces between its thousands."""
    return Markup(NOTHING) if number is None else Markup(f"{number:,.0f}".replace(",", "&#8239;"))  # noqa: S704  # digits


def _per_s(number: float | None) -> Markup:
    return Markup(f"{number:.1f}") if number is not None and number < 100 else _count(number)  # noqa: S704  # digits


def _lines(text: Any) -> Markup:
    """Return a text whose line breaks and tabs stay."""
    return escape(printable(str(text)[:MOST_CHARS], keep="\n\t"))


def _moment(moment: datetime | None) -> Markup:
    """Return a time, with its day if it is not today; the whole of it as a tip."""
    if moment is None:
        return Markup(NOTHING)  # noqa: S704  # a dash
    at = (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).astimezone(UTC)
    now = datetime.now(UTC)
    short = f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%d %b %H:%M}" if at.year == now.year else f"{at:%Y-%m-%d}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at.isoformat(), f"{at:%Y-%m-%d %H:%M:%S} UTC", short)


def _ago(moment: datetime | None) -> Markup:
    """Return how long ago a time was."""
    if moment is None:
        return Markup(NOTHING)  # noqa: S704  # a dash
    at = (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).astimezone(UTC)
    seconds = (datetime.now(UTC) - at).total_seconds()
    text = f"{span(seconds)} ago" if seconds >= 0 else f"in {span(-seconds)}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at.isoformat(), f"{at:%Y-%m-%d %H:%M:%S} UTC", text)


def _ran(job: Job) -> str:
    """Return for how long a job ran, or runs."""
    started, ended = moment_of(job.started_at), moment_of(job.ended_at)
    return span(None if started is None else ((ended or datetime.now(UTC)) - started).total_seconds())


def _short(contents: Any) -> str:
    """Return the contents of an event in one line, of long ones the beginning."""
    text = contents if isinstance(contents, str) else one_line(contents)
    return text if len(text) <= MOST_LINE else f"{text[:MOST_LINE]}…"


def _memory(kib: float | None) -> str:
    if kib is None:
        return NOTHING
    return f"{kib / 1024:.0f} MiB" if kib < 10 * 1024 * 1024 else f"{kib / 1024 / 1024:.0f} GiB"
