"""The runs that a worker has, as text in the field ``ahead`` of its hash: what it has claimed, in the order in which it begins them."""

from collections.abc import Iterable

from workers.scripts.run import Run

__all__ = ["runs_in", "text_of"]


def text_of(runs: Iterable[Run]) -> str:
    """Return runs as they are written."""
    return " ".join(f"{run.job_id}:{run.fence}" for run in runs)


def runs_in(text: bytes | None) -> list[Run]:
    """Return the runs that were written. What another program wrote there is left out."""
    parts = (part.rpartition(":") for part in (text or b"").decode(errors="replace").split(" "))
    return [Run(job_id, fence) for job_id, colon, fence in parts if colon and job_id and fence]
