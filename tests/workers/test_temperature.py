"""The thermometer: rows L13 to L15 of the parity table."""

import itertools
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import notify
from notify.testing import wait_until
from workers import WorkersError
from workers.temperature import Thermometer, numbers_in, reading_of, simulated

Collect = Callable[..., Any]


@pytest.fixture
def manager(bus: notify.Bus) -> Iterator[notify.NotificationManager]:
    """A running notification manager."""
    with bus.manager() as running:
        yield running


def published(bus: notify.Bus, readings: list[float], **options: Any) -> list[Any]:
    """The readings of these that a thermometer publishes."""
    with bus.subscribe("temperature") as events:
        with Thermometer(bus, readings, interval_s=0.001, **options) as thermometer:
            thermometer.run()
        bus.publish("temperature", "the end")
        found = iter(lambda: events.get(5), None)
        contents: list[Any] = [event.contents for event in itertools.takewhile(lambda e: getattr(e, "contents", "") != "the end", found)]  # type: ignore[union-attr]  # a gap would fail
    return [each["celsius"] for each in contents]


def test_L13_the_thermometer_is_a_service_with_a_capability(bus: notify.Bus, manager: notify.NotificationManager) -> None:
    with Thermometer(bus, []) as thermometer:
        assert bus.directory.find(provides="temperature").name == thermometer.service.name == "thermometer"
    assert "thermometer" not in bus.directory


def test_L13_the_thermometer_finds_its_manager_by_capability(bus: notify.Bus) -> None:
    with pytest.raises(notify.ServiceNotFoundError, match="register_publisher"), Thermometer(bus):
        pass
    assert "thermometer" not in bus.directory
    with bus.service("any-name", provides={"register_publisher"}), Thermometer(bus, []):
        assert "temperature" in bus.topics()


def test_L13_the_thermometer_can_be_stopped(bus: notify.Bus, manager: notify.NotificationManager) -> None:
    with Thermometer(bus, interval_s=60) as thermometer:
        running = threading.Thread(target=thermometer.run)
        running.start()
        thermometer.stop()
        running.join(5)
        assert not running.is_alive()


def test_L13_the_thermometer_ends_when_it_is_killed(bus: notify.Bus, manager: notify.NotificationManager) -> None:
    with Thermometer(bus, interval_s=0.01, ttl_s=0.3) as thermometer:
        running = threading.Thread(target=thermometer.run)
        running.start()
        bus.directory.kill("thermometer")
        running.join(5)
        assert not running.is_alive()


def test_L13_a_kill_ends_the_thermometer_soon_whatever_its_interval(bus: notify.Bus, manager: notify.NotificationManager) -> None:
    with Thermometer(bus, interval_s=60) as thermometer:
        running = threading.Thread(target=thermometer.run)
        running.start()
        thermometer.service.kill()
        running.join(5)
        assert not running.is_alive()


def test_L14_the_simulated_readings_are_whole_numbers_from_minus_50_to_49() -> None:
    readings = list(itertools.islice(simulated(), 20_000))
    assert set(readings) == set(range(-50, 50))


def test_L14_readings_are_taken_at_the_interval(bus: notify.Bus, manager: notify.NotificationManager) -> None:
    taken: list[float] = []

    def source() -> Iterator[float]:
        for celsius in range(0, 100, 10):
            taken.append(celsius)
            yield celsius

    with Thermometer(bus, source(), interval_s=60) as thermometer:
        running = threading.Thread(target=thermometer.run)
        running.start()
        wait_until(lambda: taken)
        thermometer.stop()
        running.join(5)
    assert taken == [0]


def test_L14_a_source_that_ends_ends_the_service(bus: notify.Bus, manager: notify.NotificationManager) -> None:
    with Thermometer(bus, [1, 2], interval_s=0.001) as thermometer:
        thermometer.run()
        assert not thermometer.read()


def test_L14_the_lines_of_a_file_are_a_source(bus: notify.Bus, manager: notify.NotificationManager, tmp_path: Path) -> None:
    path = tmp_path / "readings"
    path.write_text("21.5\n\n# none\n 30 \nnan\ninf\n-1e1\n")
    with path.open() as lines:
        assert published(bus, numbers_in(lines)) == [21.5, 30, -10]  # type: ignore[arg-type]  # any iterable will do


@pytest.mark.parametrize("interval_s", [0, -1, float("nan"), float("inf"), True, "1"])
def test_L14_an_invalid_interval_is_refused(bus: notify.Bus, interval_s: Any) -> None:
    with pytest.raises(notify.SettingsError, match="interval_s"):
        Thermometer(bus, interval_s=interval_s)


def test_L15_a_reading_is_published_if_it_differs_by_more_than_5_degrees(bus: notify.Bus, manager: notify.NotificationManager) -> None:
    assert published(bus, [20, 25, 14.9, 15, 20, 20.1, 15.05, -30]) == [20, 14.9, 20, -30]


def test_L15_a_slow_drift_is_reported(bus: notify.Bus, manager: notify.NotificationManager) -> None:
    assert published(bus, [10, 13, 16, 19, 22]) == [10, 16, 22]


def test_L15_comparing_with_the_previous_reading_misses_a_slow_drift(bus: notify.Bus, manager: notify.NotificationManager) -> None:
    assert published(bus, [10, 13, 16, 19, 22, 30, 25, 19], threshold_against="previous") == [30, 19]


@pytest.mark.parametrize(("against", "expected"), [("published", [10]), ("previous", [])])
def test_L15_the_first_reading_is_published_unless_compared_with_the_previous(
    bus: notify.Bus, manager: notify.NotificationManager, against: Any, expected: list[float]
) -> None:
    assert published(bus, [10, 10], threshold_against=against) == expected


def test_L15_the_threshold_can_be_set(bus: notify.Bus, manager: notify.NotificationManager) -> None:
    assert published(bus, [10, 10.4, 10.6, 10.5], threshold=0.5) == [10, 10.6]


def test_L15_an_unknown_rule_is_refused(bus: notify.Bus) -> None:
    rule: Any = "average"
    with pytest.raises(WorkersError, match="'average': choose 'published' or 'previous'"):
        Thermometer(bus, threshold_against=rule)


@pytest.mark.parametrize(("celsius", "text"), [(17, "17"), (-3, "-3"), (21.5, "21.5"), (20.0, "20"), (-50, "-50")])
def test_L15_a_reading_has_a_text(
    bus: notify.Bus, manager: notify.NotificationManager, collect: Collect, celsius: float, text: str
) -> None:
    with bus.subscribe("temperature") as events, Thermometer(bus, [celsius]) as thermometer:
        assert thermometer.read()
        (event,) = collect(events, 1)
    assert event.contents == {"celsius": celsius, "text": f"the temperature is {text}°C"}


def test_an_event_that_is_no_reading_gives_none() -> None:
    for contents in ("warm", 3, None, {"celsius": 3}, {"text": 3}, notify.Failure("Error", "text")):
        assert reading_of(notify.Event(topic="temperature", contents=contents)) is None


def test_a_reading_is_known_by_its_time_in_utc() -> None:
    when = datetime(2026, 1, 1, 12, 30, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    event = notify.Event(topic="temperature", contents={"text": "warm"}, time=when)
    assert reading_of(event) == (when.astimezone(UTC).isoformat(), "warm") == ("2026-01-01T10:30:00.000005+00:00", "warm")
