"""The recorder: rows L21 to L24 of the parity table, with worker processes."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import rq

import notify
from notify import Failure
from notify.testing import wait_until
from tests.workers.conftest import StartWorkers, mishaps
from workers import Queue
from workers.recorder import Recorder
from workers.storage import StorageService
from workers.temperature import Thermometer

OURS: dict[str, Any] = {"queues": ("temperature",), "modules": ("workers.temperature",)}


def logged(bus: notify.Bus) -> dict[str, str]:
    found: Any = bus.state("storage")["temperatures"]
    return found


def read(bus: notify.Bus, *texts: str) -> None:
    """Publish readings as a thermometer does."""
    for text in texts:
        bus.publish("temperature", {"celsius": 0, "text": text})


def queued(bus: notify.Bus) -> list[Any]:
    return Queue("temperature", connection=bus.redis).get_jobs()


def test_L21_the_recorder_finds_the_storage_and_starts_the_log(bus: notify.Bus) -> None:
    with StorageService(bus), Recorder(bus) as recorder:
        assert logged(bus) == {}
        with pytest.raises(notify.DuplicateClientNameError, match="'client'"):
            recorder.manager.subscribe("client", print, "temperature")
        with pytest.raises(notify.DuplicateClientNameError, match="'client'"):
            recorder.manager.subscribe("client", print, "storage_status")
        assert bus.directory.find(provides="register_publisher").name == recorder.manager.name


def test_L21_without_a_storage_it_does_not_start_and_leaves_nothing(bus: notify.Bus) -> None:
    with pytest.raises(notify.ServiceNotFoundError), Recorder(bus):
        pass
    assert list(bus.directory) == []


def test_L21_a_log_that_is_there_is_kept(bus: notify.Bus) -> None:
    bus.state("storage")["temperatures"] = {"yesterday": "cold"}
    with StorageService(bus), Recorder(bus):
        assert logged(bus) == {"yesterday": "cold"}


def test_L22_each_reading_is_logged_by_a_job_in_another_process_and_printed(
    bus: notify.Bus, start_workers: StartWorkers, tmp_path: Path
) -> None:
    with (tmp_path / "out").open("wb") as out, StorageService(bus), Recorder(bus):
        start_workers(stdout=out.fileno(), **OURS)
        with Thermometer(bus, [10, 20, 30, 40], interval_s=0.01) as thermometer:
            thermometer.run()
        wait_until(lambda: len(logged(bus)) == 4, timeout_s=10)
        log = logged(bus)
    assert list(log.values()) == [f"the temperature is {n}°C" for n in (10, 20, 30, 40)]
    assert [datetime.fromisoformat(time).utcoffset() for time in log] == [timedelta(0)] * 4
    maps = [json.loads(line)["temperatures"] for line in (tmp_path / "out").read_text().splitlines()]
    assert [len(each) for each in maps] == [1, 2, 3, 4]
    assert maps[-1] == log


def test_L22_two_readings_in_one_second_both_stay(bus: notify.Bus, start_workers: StartWorkers) -> None:
    with StorageService(bus), Recorder(bus):
        start_workers(2, **OURS)
        read(bus, *map(str, range(10)))
        wait_until(lambda: len(logged(bus)) == 10, timeout_s=10)
        assert sorted(logged(bus).values()) == sorted(map(str, range(10)))
        seconds = {datetime.fromisoformat(time).replace(microsecond=0) for time in logged(bus)}
    assert len(seconds) < 10


def test_L22_events_that_are_no_readings_are_skipped(bus: notify.Bus) -> None:
    with StorageService(bus), Recorder(bus):
        bus.publish("temperature", "warm")
        bus.publish("temperature", {"celsius": 3})
        read(bus, "a reading")
        wait_until(lambda: queued(bus))
        assert [job.args[1] for job in queued(bus)] == ["a reading"]


def test_L23_an_error_about_one_key_does_not_end_the_recorder(bus: notify.Bus, start_workers: StartWorkers) -> None:
    with StorageService(bus) as storage, Recorder(bus) as recorder, bus.subscribe("storage_status") as status:
        read(bus, "before")
        wait_until(lambda: queued(bus))
        assert not storage.store("temperatures", "mine")
        event: Any = status.get(5)
        assert event.contents.type == "DuplicateKeyError"
        read(bus, "after")
        wait_until(lambda: len(queued(bus)) == 2)
        assert recorder.wait(0) is None
        start_workers(**OURS)
        wait_until(lambda: sorted(logged(bus).values()) == ["after", "before"], timeout_s=10)


def end_by_kill(bus: notify.Bus, storage: StorageService) -> None:
    storage.kill("lights out")


def end_by_another(bus: notify.Bus, storage: StorageService) -> None:
    bus.directory.kill("storage", why="lights out")


@pytest.mark.parametrize("end", [end_by_kill, end_by_another])
def test_L23_the_end_of_the_storage_cancels_and_stops_jobs_and_unsubscribes(
    bus: notify.Bus, start_workers: StartWorkers, end: Callable[[notify.Bus, StorageService], None]
) -> None:
    with StorageService(bus) as storage, Recorder(bus, delay_s=20) as recorder, bus.subscribe("job.temperature") as events:
        start_workers(**OURS)
        read(bus, *"abc")
        registry = Queue("temperature", connection=bus.redis).started_job_registry
        wait_until(lambda: len(queued(bus)) == 2 and registry.get_job_ids(), timeout_s=10, what="one that runs and two that wait")

        end(bus, storage)

        ending = recorder.wait(5)
        assert ending is not None
        assert ending.contents == Failure("StorageKilledError", "storage killed: lights out", fatal=True)
        assert sorted(event["status"] for event in mishaps(events, 3)) == ["cancelled", "cancelled", "stopped"]
        with pytest.raises(notify.NotSubscribedError):
            recorder.manager.unsubscribe("client")
        read(bus, "too late")
        assert events.get(0.1) is None
    assert (logged(bus), queued(bus)) == ({}, [])


def test_L23_a_reading_that_comes_after_the_end_is_not_logged(bus: notify.Bus, another_bus: notify.Bus) -> None:
    """A new storage may run by then; this recorder does not use it."""
    with StorageService(bus) as storage, Recorder(bus) as recorder:
        storage.kill()
        assert recorder.wait(5) is not None
        with StorageService(another_bus):
            read(bus, "too late")
            assert queued(bus) == []


def test_L24_the_run_ends(bus: notify.Bus, start_workers: StartWorkers, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        with bus.subscribe("storage_status") as status:
            with StorageService(bus) as storage, Recorder(bus) as recorder:
                pool = start_workers(2, stdout=out.fileno(), **OURS)
                with Thermometer(bus, [10, 20, 30, 40], interval_s=0.01) as thermometer:
                    thermometer.run()
                wait_until(lambda: len(logged(bus)) == 4, timeout_s=10)
                wait_until(lambda: rq.Worker.count(connection=bus.redis) == 2, what="two workers that can be stopped")
                storage.kill()
                ending: Any = recorder.wait(5)
            received: list[Any] = [status.get(5) for _ in range(2)]
        pool.close()
    assert str(ending).endswith("\nstorage killed")
    assert [event.contents for event in received] == ["ready", ending.contents]
    assert [process.returncode for process in pool.processes] == [0, 0]
    assert len((tmp_path / "out").read_text().splitlines()) == 4
    assert list(bus.directory) == []


def test_wait_returns_after_its_timeout_if_the_recorder_did_not_end(bus: notify.Bus) -> None:
    with StorageService(bus), Recorder(bus) as recorder:
        assert recorder.wait(0.05) is None


def test_another_queue_can_be_named(bus: notify.Bus) -> None:
    with StorageService(bus), Recorder(bus, queue="slow", delay_s=1.5):
        read(bus, "x")
        slow = Queue("slow", connection=bus.redis)
        wait_until(slow.get_job_ids)
        assert slow.get_jobs()[0].args[1:] == ["x", 1.5]


def test_the_end_is_reported_although_the_jobs_could_not_be_cancelled(bus: notify.Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> int:
        raise notify.ServerUnreachableError("no answer")

    with StorageService(bus) as storage, Recorder(bus) as recorder:
        monkeypatch.setattr(Queue, "cancel", fail)
        storage.kill()
        wait_until(lambda: recorder.wait(0) is not None)
