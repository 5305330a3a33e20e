"""``notify doctor``: prints the findings of an examination, and ends with 1 if something is wrong."""

from collections import Counter
from typing import Annotated, Final

import msgspec
import typer

from cli.options import AsJson, Namespace, Url, options
from cli.output import Output
from notify import ServerError
from workers.overview.doctor import Finding, examine

__all__ = ["doctor"]

STYLES: Final = {"ok": "green", "note": "", "warning": "yellow", "error": "bold red"}


def doctor(
    context: typer.Context,
    strict: Annotated[bool, typer.Option("--strict", help="End with 1 also if there are only warnings.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and errors.")] = False,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Look at the server and at all that Notify keeps there, and say what is wrong and what to do about it. Nothing is changed.

    The exit code is 1 if there is an error.
    """
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    output, levels = chosen.output, Counter[str]()

    def tell(finding: Finding) -> None:
        levels[finding.level] += 1
        if not quiet or finding.level in ("warning", "error"):
            _print(output, finding)

    try:
        with chosen.connect(name="notify-doctor") as bus:
            for finding in examine(bus):
                tell(finding)
    except ServerError as problem:
        what, _, remedy = str(problem).rpartition(": ")
        tell(Finding("server", "error", what or str(problem), remedy if what else ""))
    output.talk(", ".join(f"{levels[level]} {level}{'' if levels[level] == 1 else 's'}" for level in ("error", "warning", "note")))
    if levels["error"] or (strict and levels["warning"]):
        raise typer.Exit(1)


def _print(output: Output, finding: Finding) -> None:
    record = msgspec.structs.asdict(finding)
    if not output.pretty:
        output.record(record, finding.level, finding.name, finding.what, finding.remedy)
        return
    output.line(f"{finding.level:8} {finding.name}: {finding.what}", style=STYLES[finding.level])
    if finding.remedy:
        output.line(f"{'':8} → {finding.remedy}")
