"""A module of jobs with which the process of the jobs takes each step of recording an end once, whether or not the server answers."""

from collections.abc import Callable
from typing import Any

from workers import job
from workers.worker.recording import EndRecording


def once(_: EndRecording, act: Callable[[bool], Any]) -> Any:
    return act(False)


EndRecording.repeat = once  # type: ignore[method-assign]  # the unprotected variant, for a twin


@job("work")
def nothing() -> None:
    """Do nothing: a module for a worker has a job."""
