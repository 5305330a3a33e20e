"""Decides, in the horse, whether the error of a job is the loss of a service that the job needs."""

import time
from typing import Final

from notify.errors import NotifyError, ServerError, ServerUnreachableError
from workers.scripts import JobScripts, Run

__all__ = ["lost_need"]

LONGEST_WAIT_S: Final = 60.0
"""Seconds after which an error stands, if it is still not known whether the service is dead."""
MIN_PAUSE_S: Final = 0.02
MAX_PAUSE_S: Final = 0.25


def lost_need(scripts: JobScripts, run: Run, error: BaseException) -> str:
    """Return the need whose loss an error is, and mark the run as stopped; empty if the error stands as the end of the run.

    A service that did not answer in time may be dead without anybody knowing. So this waits until the service sends a heartbeat, or is
    withdrawn: for two of its ttls at most.

    Args:
        scripts: the scripts, on the client of the horse.
        run: the run.
        error: the error that left the function of the job, or that was raised from one about a service.
    """
    cause = _error_about_a_service(error)
    if cause is None:
        return ""
    began, pause_s, heard = time.monotonic(), MIN_PAUSE_S, ""
    limit_s = LONGEST_WAIT_S
    while time.monotonic() - began <= limit_s:
        try:
            check = scripts.check_error(run, cause, heard=heard)
        except ServerUnreachableError:
            check = None  # the end of the run cannot be recorded either until Redis is back
        except ServerError:
            return ""
        if check is not None and not check.is_open:
            return check.lost
        if check is not None and not heard:
            heard, limit_s = check.heard, min(LONGEST_WAIT_S, time.monotonic() - began + check.wait_ms / 1000)
        time.sleep(pause_s)
        pause_s = min(MAX_PAUSE_S, 2 * pause_s)
    return ""


def _error_about_a_service(error: BaseException) -> NotifyError | None:
    """Return the first error about a service among an error and the errors that it was raised from."""
    cause: BaseException | None = error
    seen: list[BaseException] = []
    while cause is not None and cause not in seen:
        if isinstance(cause, NotifyError) and (cause.service or cause.capabilities):
            return cause
        seen.append(cause)
        cause = cause.__cause__
    return None
