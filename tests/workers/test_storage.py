"""The storage service: rows L16 to L20 of the parity table, directly and through jobs."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import notify
from notify import Failure
from tests.support.sample_jobs import add_to_log, add_to_log_naively
from tests.workers.conftest import SAMPLE, Effects, StartWorkers
from workers import JobDefinitionError, Outcome, Queue, StorageError, StorageKilledError, storage
from workers.storage import MISSING, StorageService, Store

Collect = Callable[..., Any]

DecodedCall = Callable[[Any], object]
CALLS: list[DecodedCall] = [
    lambda it: it.store("k", 1),
    lambda it: it.retrieve("k"),
    lambda it: it.modify("k", lambda value: value + 1),
]


@pytest.fixture
def service(bus: notify.Bus) -> Iterator[StorageService]:
    with StorageService(bus) as running:
        yield running


@pytest.fixture
def status(bus: notify.Bus, service: StorageService) -> Iterator[notify.Subscriber]:
    """The events on ``storage_status`` from now on."""
    with bus.subscribe("storage_status") as events:
        yield events


@pytest.fixture
def store(another_bus: notify.Bus, service: StorageService) -> Store:
    """A store as another process has it."""
    return Store(another_bus)


def test_L16_the_storage_registers_as_storage_and_reports_on_storage_status(bus: notify.Bus, collect: Collect) -> None:
    with bus.subscribe("storage_status") as events, StorageService(bus) as service:
        (ready,) = collect(events, 1)
        assert (ready.topic, ready.contents, ready.source) == ("storage_status", "ready", "storage")
        assert service.service.name == "storage"
        assert bus.directory.lookup("storage").provides >= {"store", "retrieve", "modify"}
        assert bus.directory.find(lambda described: "store" in described.provides).name == "storage"


def test_L16_there_is_one_storage(bus: notify.Bus, another_bus: notify.Bus, service: StorageService) -> None:
    with pytest.raises(notify.ServiceNameTakenError, match="'storage'"):
        StorageService(another_bus).open()


@pytest.mark.parametrize("value", [1, None, False, "", [], {"a": [1, None]}, "ü"])
def test_L17_a_stored_value_can_be_retrieved(store: Store, service: StorageService, value: Any) -> None:
    assert store.store("k", value)
    assert service.retrieve("k") == store.retrieve("k") == value


def test_L17_storing_under_an_existing_key_keeps_the_value_and_reports(store: Store, status: notify.Subscriber, collect: Collect) -> None:
    assert store.store("k", "first")
    assert not store.store("k", "second")
    assert store.retrieve("k") == "first"
    (event,) = collect(status, 1)
    assert event.contents == Failure("DuplicateKeyError", "'k' holds a value already", fatal=False)


def test_L17_a_value_that_json_cannot_hold_is_the_callers_mistake(store: Store, status: notify.Subscriber, collect: Collect) -> None:
    thing: Any = object()
    with pytest.raises(notify.ContentsError):
        store.store("k", thing)
    assert store.retrieve("k") is MISSING


def test_L18_missing_is_not_a_stored_null(store: Store, status: notify.Subscriber, collect: Collect) -> None:
    store.store("null", None)
    assert store.retrieve("null") is None
    collect(status, 0)
    assert store.retrieve("nothing") is MISSING
    (event,) = collect(status, 1)
    assert event.contents == Failure("UnknownKeyError", "nothing is stored under 'nothing'", fatal=False)


def test_L18_missing_is_false_and_says_its_name() -> None:
    assert not MISSING
    assert repr(MISSING) == "MISSING"


def test_L19_a_value_is_modified(store: Store, service: StorageService) -> None:
    store.store("k", [1])
    assert store.modify("k", lambda value: [*value, 2]) == service.retrieve("k") == [1, 2]


def test_L19_modifying_a_missing_key_creates_nothing_and_reports(store: Store, status: notify.Subscriber, collect: Collect) -> None:
    called: list[object] = []
    assert store.modify("k", called.append) is MISSING
    assert called == []
    (event,) = collect(status, 1)
    assert event.contents == Failure("UnknownKeyError", "nothing is stored under 'k'", fatal=False)
    assert store.retrieve("k") is MISSING


@pytest.mark.parametrize("error", [KeyError, notify.MissingKeyError])
def test_L19_a_key_error_inside_the_function_is_not_a_missing_key(
    store: Store, status: notify.Subscriber, collect: Collect, error: type[Exception]
) -> None:
    def look_elsewhere(value: object) -> notify.Json:
        raise error("elsewhere")

    store.store("k", 1)
    with pytest.raises(error, match="elsewhere"):
        store.modify("k", look_elsewhere)
    assert store.retrieve("k") == 1
    collect(status, 0)


def test_L19_a_key_that_goes_while_it_is_modified_is_missing(
    bus: notify.Bus, store: Store, status: notify.Subscriber, collect: Collect
) -> None:
    def while_somebody_deletes_it(value: int) -> int:
        del bus.state("storage")["k"]
        return value + 1

    store.store("k", 1)
    assert store.modify("k", while_somebody_deletes_it) is MISSING
    collect(status, 1)
    assert "k" not in bus.state("storage")


@pytest.mark.parametrize(("function", "all_count"), [(add_to_log, True), (add_to_log_naively, False)])
def test_L19_four_processes_that_add_four_times_each_add_sixteen(
    queue: Queue, store: Store, start_workers: StartWorkers, function: Any, all_count: bool
) -> None:
    """All four have read the value before the first one writes; without `modify` an update would be lost."""
    store.store("n", 0)
    start_workers(4)
    jobs = [queue.enqueue(function, 4, 4, needs="storage") for _ in range(4)]
    assert [job.wait(20) for job in jobs] == [Outcome("finished")] * 4
    assert (store.retrieve("n") == 16) == all_count


def test_L20_a_kill_withdraws_the_service_and_reports_once(
    bus: notify.Bus, service: StorageService, status: notify.Subscriber, collect: Collect
) -> None:
    service.kill()
    service.kill("again")
    (event,) = collect(status, 1)
    assert event.contents == Failure("StorageKilledError", "storage killed", fatal=True)
    assert "storage" not in bus.directory
    with pytest.raises(notify.ServiceNotFoundError):
        bus.directory.find(provides="store")


@pytest.mark.parametrize("call", CALLS)
def test_L20_every_call_after_a_kill_raises(service: StorageService, store: Store, call: DecodedCall) -> None:
    service.store("k", 1)
    service.kill("out of paper")
    for hand in (service, store):
        with pytest.raises(StorageKilledError, match=r"^storage killed: out of paper$"):
            call(hand)


@pytest.mark.parametrize("call", CALLS)
def test_L20_a_kill_from_outside_counts_at_once_everywhere(
    another_bus: notify.Bus, service: StorageService, store: Store, call: DecodedCall
) -> None:
    service.store("k", 1)
    another_bus.directory.kill("storage", why="lights out")
    for hand in (service, store):
        with pytest.raises(StorageKilledError, match="storage killed: lights out"):
            call(hand)


@pytest.mark.parametrize("purge", [False, True])
def test_L20_stored_values_survive_a_kill_unless_they_are_purged(bus: notify.Bus, service: StorageService, purge: bool) -> None:
    service.store("k", 1)
    service.kill(purge=purge)
    with StorageService(bus) as successor:
        assert successor.retrieve("k") == (MISSING if purge else 1)


def test_L20_a_killed_storage_cannot_be_opened_again_but_a_new_one_can(bus: notify.Bus, service: StorageService) -> None:
    service.kill()
    with pytest.raises(notify.ClosedError):
        service.open()
    with StorageService(bus) as successor:
        assert successor.store("k", 1)


@pytest.mark.parametrize("call", CALLS)
def test_the_error_about_a_missing_storage_names_the_remedy(bus: notify.Bus, call: DecodedCall) -> None:
    with pytest.raises(StorageError, match=r"'storage' is not registered at unix://.*notify serve storage") as caught:
        call(Store(bus))
    assert not isinstance(caught.value, StorageKilledError)


@pytest.mark.parametrize("call", CALLS)
def test_a_storage_that_was_closed_is_not_a_killed_one(bus: notify.Bus, call: DecodedCall) -> None:
    with StorageService(bus):
        pass
    with pytest.raises(StorageError) as caught:
        call(Store(bus))
    assert not isinstance(caught.value, StorageKilledError)


def test_a_storage_of_another_name_reports_under_that_name(bus: notify.Bus, collect: Collect) -> None:
    with bus.service("cellar"), bus.subscribe("cellar_status") as events:
        assert Store(bus, name="cellar").retrieve("wine") is MISSING
        collect(events, 1)


@pytest.fixture
def jobs(bus: notify.Bus, service: StorageService, start_workers: StartWorkers) -> Queue:
    """The queue of the storage jobs, with a worker."""
    start_workers(queues=("storage",), modules=("workers.storage", SAMPLE))
    return Queue("storage", connection=bus.redis)


def result(queue: Queue, function: Any, *args: Any) -> Any:
    done = queue.enqueue(function, *args)
    assert done.wait(10) == Outcome("finished")
    return done.return_value()


def test_L17_L18_L19_jobs_store_retrieve_and_modify(jobs: Queue, status: notify.Subscriber, collect: Collect) -> None:
    assert result(jobs, storage.store, "n", 1) is True
    assert result(jobs, storage.retrieve, "n") == {"found": True, "value": 1}
    assert result(jobs, storage.modify, "n", "increment", 2) == {"found": True, "value": 3}
    assert result(jobs, storage.store, "null", None) is True
    assert result(jobs, storage.retrieve, "null") == {"found": True, "value": None}
    collect(status, 0)
    assert result(jobs, storage.store, "n", 9) is False
    assert result(jobs, storage.retrieve, "nothing") == {"found": False}
    assert result(jobs, storage.modify, "nothing", "increment", 1) == {"found": False}
    failures = collect(status, 3)
    assert [event.contents.type for event in failures] == ["DuplicateKeyError", "UnknownKeyError", "UnknownKeyError"]


@pytest.mark.parametrize(
    ("operation", "before", "operand", "after"),
    [("increment", 1, -3, -2), ("append", [1], "x", [1, "x"]), ("update", {"a": 1, "b": 2}, {"b": 3}, {"a": 1, "b": 3})],
)
def test_L19_jobs_modify_by_named_operations(operation: str, before: Any, operand: Any, after: Any) -> None:
    assert storage.OPERATIONS[operation](before, operand) == after


def test_an_unknown_operation_is_refused_and_the_known_ones_are_listed() -> None:
    with pytest.raises(JobDefinitionError, match="'cube': choose one of increment, append, update"):
        storage.modify("n", "cube", 3)


def test_L20_jobs_of_a_killed_storage_are_cancelled(jobs: Queue, service: StorageService, effects: Effects) -> None:
    service.kill()
    outcome = jobs.enqueue(storage.store, "n", 1).wait(10)
    assert outcome is not None
    assert (outcome.status, outcome.need) == ("cancelled", "storage")


def test_L20_a_job_that_does_not_need_the_storage_gets_its_kill_as_an_error(jobs: Queue, service: StorageService) -> None:
    service.kill()
    failed = jobs.enqueue(storage.store, "n", 1, needs=[])
    assert failed.wait(10).status == "failed"
    last = failed.latest_result()
    assert last is not None
    assert (last.exc_string or "").strip().endswith("StorageKilledError: storage killed")


def test_N13_the_storage_can_be_called_by_other_services(bus: notify.Bus, another_bus: notify.Bus) -> None:
    with StorageService(bus) as service:
        assert another_bus.call("storage", "store", "answer", 41) is True
        assert another_bus.call("storage", "modify", "answer", "increment", 1) == {"found": True, "value": 42}
        assert another_bus.call(notify.provides("retrieve"), "retrieve", "answer") == {"found": True, "value": 42}
        assert another_bus.call("storage", "retrieve", "question") == {"found": False}
        with pytest.raises(notify.RequestFailedError, match="no operation 'divide'"):
            another_bus.call("storage", "modify", "answer", "divide", 0)
        with pytest.raises(notify.UnknownMethodError):
            another_bus.call("storage", "kill")
        service.kill("enough")
        with pytest.raises(notify.ServiceNotFoundError):
            another_bus.call("storage", "retrieve", "answer")
