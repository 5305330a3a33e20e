"""Which jobs run side by side with others."""

from typing import Any, Final

from workers.jobs import Job, JobFunctions, call_in, definition_of, function_of
from workers.scripts import AHEAD_BYTES, Claim
from workers.worker.finish import FinishingWorker

__all__ = ["concurrencies", "may_bypass_rq", "path_of"]

ALONE: Final = 1


def concurrencies(functions: JobFunctions) -> dict[str, int]:
    """Return how many calls of each function run side by side, of those of which more than one does, by their paths."""
    found = {path: definition_of(function) for path, function in functions.items()}
    return {path: known.concurrency for path, known in found.items() if known is not None and known.concurrency > ALONE}


def path_of(claim: Claim, functions: JobFunctions) -> str:
    """Return the path of the function of a job that runs side by side with others; empty if it runs alone."""
    if claim.problem or len(claim.fields.get(b"data", b"")) > AHEAD_BYTES or call_in(claim.fields, functions) is None:
        return ""
    function = function_of(claim.fields, functions)
    known = definition_of(function)
    if function is None or known is None or known.concurrency == ALONE:
        return ""
    return f"{function.__module__}.{function.__qualname__}"


def may_bypass_rq(worker: Any) -> bool:
    """Return whether jobs may be called without RQ's code. They may not if a subclass or instance overrides RQ's methods."""
    return (
        getattr(worker.perform_job, "__func__", None) is FinishingWorker.perform_job
        and getattr(worker.handle_job_success, "__func__", None) is FinishingWorker.handle_job_success
        and worker.job_class.perform is Job.perform
    )
