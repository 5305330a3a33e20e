"""A recurring job of a program that is traced; see `tests.support.traced_jobs`."""

from tests.support import traced_jobs
from workers import job

TRACED = traced_jobs


@job("ticks", every_s=1)
def tick() -> None:
    pass
