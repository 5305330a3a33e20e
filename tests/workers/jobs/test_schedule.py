"""The schedule of a recurring job."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tests.support import sample_jobs
from workers import JobDefinitionError, job
from workers.jobs.definition import definition_of
from workers.jobs.requirements import Requirements
from workers.jobs.schedule import CronJob, Schedule, read_cron_job, schedule_of

pytestmark = pytest.mark.any_server


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("cron", "now", "due"),
    [
        ("*/5 * * * *", "2026-11-21T13:37:24.5", "2026-11-21T13:40:00"),
        ("*/5 * * * *", "2026-11-21T13:40:00", "2026-11-21T13:45:00"),
        ("0 4 * * *", "2026-12-31T23:59:59.999", "2027-01-01T04:00:00"),
        ("@hourly", "2026-03-29T00:30:00", "2026-03-29T01:00:00"),
        ("* * * * * */10", "2026-11-21T13:37:24", "2026-11-21T13:37:30"),
    ],
)
def test_a_cron_line_is_due_at_its_next_time_in_utc(cron: str, now: str, due: str) -> None:
    schedule = schedule_of(cron, None)
    assert schedule is not None
    assert schedule.next_after(ms(now)) == ms(due)


@pytest.mark.parametrize(
    ("cron", "now", "due"),
    [
        ("0 9 * * *", "2026-03-28T12:00:00", ["2026-03-29T07:00:00", "2026-03-30T07:00:00"]),  # summer time began
        ("0 9 * * *", "2026-10-23T12:00:00", ["2026-10-24T07:00:00", "2026-10-25T08:00:00"]),  # it ended
        ("30 2 * * *", "2026-03-28T12:00:00", ["2026-03-29T01:00:00", "2026-03-30T00:30:00"]),  # the time is left out: after the gap
        ("30 2 * * *", "2026-10-24T12:00:00", ["2026-10-25T00:30:00", "2026-10-26T01:30:00"]),  # it comes twice: the first time
        ("0 * * * *", "2026-10-25T00:30:00", ["2026-10-25T01:00:00", "2026-10-25T02:00:00"]),  # every hour: both times
    ],
)
def test_a_cron_line_is_due_by_the_clock_of_its_time_zone(cron: str, now: str, due: list[str]) -> None:
    schedule = schedule_of(cron, None, "Europe/Berlin")
    assert schedule is not None
    first = schedule.next_after(ms(now))
    assert first is not None
    assert [first, schedule.next_after(first)] == [ms(each) for each in due]


@pytest.mark.parametrize("timezone", ["Europe/Nowhere", "", "/etc/passwd", "../x", 5])
def test_a_time_zone_that_there_is_not_is_refused_at_the_definition(timezone: Any) -> None:
    with pytest.raises(JobDefinitionError, match="which this machine does not know: give a name such as 'Europe/Berlin'"):
        job("work", cron="0 4 * * *", timezone=timezone)


def test_a_time_zone_is_for_a_cron_line() -> None:
    with pytest.raises(JobDefinitionError, match="give cron as well"):
        job("work", every_s=60, timezone="Europe/Berlin")


def test_a_cron_line_is_shown_with_its_time_zone_and_read_from_redis_with_it() -> None:
    schedule = schedule_of("0 4 * * *", None, "Europe/Berlin")
    assert str(schedule) == "0 4 * * * Europe/Berlin"
    assert schedule is not None
    assert read_cron_job(msgspec.json.encode(CronJob("work", schedule, Requirements()))).schedule == schedule


def test_an_interval_is_due_at_its_multiples_since_the_epoch() -> None:
    schedule = schedule_of(None, 60)
    assert schedule == Schedule(every_ms=60_000)
    assert schedule is not None
    assert [schedule.next_after(now) for now in (0, 59_999, 60_000)] == [60_000, 60_000, 120_000]


def test_a_schedule_has_a_text() -> None:
    assert [str(Schedule(every_ms=2_500)), str(Schedule(cron="@daily"))] == ["every 2.5 s", "@daily"]


def test_a_schedule_that_never_comes_has_no_next_time() -> None:
    assert Schedule(cron="0 0 30 2 *").next_after(ms("2026-11-21T13:37:24")) is None


@pytest.mark.parametrize("every_s", [0, -1, 0.05, float("nan"), float("inf"), True, "60"])
def test_an_invalid_interval_is_refused_at_the_definition(every_s: Any) -> None:
    with pytest.raises(JobDefinitionError, match="every_s"):
        job("work", every_s=every_s)


@pytest.mark.parametrize("cron", ["", "* * * *", "61 * * * *", "daily", "* * * * * * 2030", "@reboot", 5])
def test_an_invalid_cron_line_is_refused_at_the_definition(cron: Any) -> None:
    with pytest.raises(JobDefinitionError, match="cron line"):
        job("work", cron=cron)


def test_a_cron_line_that_never_comes_is_refused_at_the_definition() -> None:
    with pytest.raises(JobDefinitionError, match="never comes"):
        job("work", cron="0 0 30 2 *")


def test_two_schedules_are_refused() -> None:
    with pytest.raises(JobDefinitionError, match="not both"):
        job("work", cron="@daily", every_s=5)


def test_a_function_that_requires_arguments_has_no_schedule() -> None:
    with pytest.raises(JobDefinitionError, match="called without arguments"):
        job("work", every_s=5)(sample_jobs.sleep)
    definition = definition_of(sample_jobs.sleep)
    assert definition is not None
    assert definition.schedule is None


def test_a_recurring_job_keeps_its_json_names_in_redis() -> None:
    """Workers of several versions share the hash ``cron``: the text is a wire format."""
    recurring = CronJob("work", Schedule(every_ms=60_000), Requirements.of("svc", "hold", max_hold_s=5))
    text = b'{"queue":"work","rhythm":{"cron":"","every_ms":60000},"terms":{"needs":["svc"],"on_loss":"hold","max_hold_s":5,"grace_s":0.0}}'
    assert msgspec.json.encode(recurring) == text
    assert msgspec.json.decode(text, type=CronJob) == recurring
