"""Recurring jobs with short intervals."""

from tests.support.sample_jobs import count
from workers import current_job, job


@job("work", every_s=0.5, overlap="queue")
def often() -> None:
    count("every")
    count(current_job().id)


@job("work", cron="* * * * * *", overlap="queue")
def each_second() -> None:
    count("cron")
    count(current_job().id)
