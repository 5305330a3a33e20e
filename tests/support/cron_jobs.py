"""Recurring jobs for the tests."""

from tests.support.sample_jobs import count
from workers import current_job, job


@job("work", every_s=1)
def every_second() -> None:
    count("every second")
    count(current_job().id)


@job("work", cron="0 4 * * *")
def at_four() -> None:
    count("at four")


@job("nightly", cron="30 4 * * *", needs="svc", on_loss="ignore")
def with_a_service() -> None:
    count("with a service")
