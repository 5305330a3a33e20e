"""Tracebacks of jobs: the frames of the user's code, without those of the worker that called it."""

import re
from typing import Final

__all__ = ["fold_frames"]

_FRAME: Final = re.compile(r'  File "(?P<path>[^"]+)", line \d+')
_OURS: Final = re.compile(r"(^|/)(site-packages/rq|workers/(worker|horse|jobs|queue|scripts)|notify/(requests|service|server|events))/")
"""Paths of the code that calls a job. The job ran on another machine perhaps, so they are recognized by their ends only."""


def fold_frames(traceback: str) -> tuple[str, int]:
    """Return a traceback without the frames of the framework, and how many these are. All stay if there are no others."""
    kept: list[str] = []
    folded = shown = 0
    in_ours = False
    for line in traceback.splitlines():
        frame = _FRAME.match(line)
        if frame is not None:
            in_ours = _OURS.search(frame["path"].replace("\\", "/")) is not None
            folded, shown = folded + in_ours, shown + (not in_ours)
        elif not line.startswith("    "):
            in_ours = False  # the error itself, or the head of another traceback
        if not in_ours:
            kept.append(line)
    return ("\n".join(kept), folded) if shown else (traceback, 0)
