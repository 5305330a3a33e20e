"""Values of all kinds go through jobs: they come back by the annotations, and a result that JSON cannot hold fails the job."""

import json
from base64 import b64decode
from typing import Any

import pytest
import rq.job
from rq import Callback, Retry
from rq.results import Result

import notify
from notify.testing import wait_until
from tests.support.typed_jobs import (
    ID,
    NOON,
    VALUES,
    Item,
    Order,
    build,
    give_later,
    give_order,
    give_the_wrong_type,
    give_untyped,
    keep_badly_in_meta,
    keep_in_meta,
    note_failure,
    remind,
    take_typed,
    take_unknown,
    take_untyped,
)
from tests.workers.conftest import Effects, StartWorkers, result
from workers import Job, JobArgumentsError, Outcome, Queue

TYPED = ("tests.support.typed_jobs",)

FORMS = {name: form for name, (_, form) in VALUES.items()}


@pytest.fixture
def queue(queue: Queue, start_workers: StartWorkers) -> Queue:
    """The queue, with a worker."""
    start_workers(modules=TYPED)
    return queue


def test_arguments_of_all_kinds_come_back_by_their_annotations(queue: Queue) -> None:
    values = {name: value for name, (value, _) in VALUES.items()}
    expected = [repr(value) for value in values.values()]
    by_name, by_place = queue.enqueue(take_typed, **values), queue.enqueue(take_typed, *values.values())
    through_rq = queue.enqueue(take_typed, **values, on_failure=Callback(note_failure), result_ttl=60, meta={"by": ID})
    by_path = queue.enqueue("tests.support.typed_jobs.take", **values)
    assert [result(job) for job in (by_name, by_place, through_rq, by_path)] == [expected] * 4
    assert by_name.kwargs == json.loads(queue.connection.hget(by_name.key, "data"))[3] == FORMS


def test_arguments_of_all_kinds_stay_in_their_forms_without_annotations(queue: Queue) -> None:
    job = queue.enqueue(take_untyped, **{name: value for name, (value, _) in VALUES.items()})
    assert result(job) == [repr(form) for form in FORMS.values()]


def test_results_come_back_by_the_return_annotation_where_the_function_is_known(queue: Queue) -> None:
    job, later = queue.enqueue(give_order, NOON), queue.enqueue(give_later, NOON.date())
    assert (result(job), str(result(later))) == (Order(ID, [Item(NOON)]), "2026-11-28")
    form = {"id": str(ID), "items": [{"when": "2026-11-27T12:00:00Z", "tags": []}], "price": "0"}
    assert Job.fetch(job.id, connection=queue.connection).return_value() == form
    assert result(queue.enqueue(give_the_wrong_type)) == "soon"


@pytest.mark.parametrize("name", VALUES)
def test_results_of_all_kinds_stay_in_their_forms_without_annotation(queue: Queue, name: str) -> None:
    """As plain RQ reads them, too."""
    job = queue.enqueue(give_untyped, name)
    assert result(job) == FORMS[name]
    (stored,) = Result.all(rq.job.Job(job.id, connection=queue.connection), serializer="json")
    assert stored.return_value == FORMS[name]
    ((_, fields),) = queue.connection.xrange(f"rq:results:{job.id}")
    assert json.loads(b64decode(fields[b"return_value"])) == FORMS[name]


def test_annotations_that_cannot_be_resolved_leave_the_form_and_the_others_hold(queue: Queue) -> None:
    assert result(queue.enqueue(take_unknown, NOON, at=NOON)) == ["'2026-11-27T12:00:00Z'", repr(NOON)]


@pytest.mark.parametrize("name", VALUES)
def test_meta_of_all_kinds_is_kept_in_its_form(queue: Queue, name: str) -> None:
    job = queue.enqueue(keep_in_meta, name, meta={"given": VALUES[name][0]})
    assert result(job) is None
    assert Job.fetch(job.id, connection=queue.connection).meta == {"given": FORMS[name], "it": FORMS[name]}


def test_meta_that_json_cannot_hold_fails_the_job_that_saves_it(queue: Queue) -> None:
    outcome = queue.enqueue(keep_badly_in_meta).wait(15)
    assert outcome is not None
    assert "cannot be written as JSON: at it.deep[0], a value of type object" in outcome.reason


REFUSED = "at items[3].when, a value of type object cannot be written"


@pytest.mark.parametrize("options", [{}, {"on_success": Callback(take_typed)}, {"result_ttl": 0}], ids=["plain", "by RQ", "not kept"])
def test_a_result_that_json_cannot_hold_fails_the_job_with_the_path(
    queue: Queue, bus: notify.Bus, effects: Effects, options: dict[str, Any]
) -> None:
    """Its callback is called, the event is published, RQ lists it as failed, and its worker goes on."""
    with bus.subscribe("job.work") as events:
        job = queue.enqueue(build, on_failure=Callback(note_failure), **options)
        outcome = job.wait(15)
        assert outcome is not None
        assert (outcome.status, outcome.why and outcome.why.rule) == ("failed", "raised")
        assert outcome.reason.startswith("workers.errors.JobResultError: the result of tests.support.typed_jobs.build cannot be written")
        assert REFUSED in outcome.reason
        assert job.return_value() is None
        called: Any = wait_until(lambda: bus.redis.get("rq:test:failure"), what="the call of on_failure")
        assert called.decode().startswith("JobResultError: the result of tests.support.typed_jobs.build")
        bus.redis.delete("rq:test:failure")
        told: Any = None
        while told is None or told.contents["status"] != "failed":
            told = events.get(timeout_s=15)
            assert told is not None
        assert REFUSED in told.contents["reason"]
    assert (effects["built"], job.id in queue.failed_job_registry, job.id in queue.finished_job_registry) == (1, True, False)
    assert result(queue.enqueue(give_untyped, "day")) == "2026-11-27"


def test_a_job_whose_result_json_cannot_hold_is_tried_again(queue: Queue, effects: Effects) -> None:
    job = queue.enqueue(build, retry=Retry(max=2))
    effects.wait_for("built", 3)
    outcome = wait_until(lambda: job.outcome, timeout_s=15)
    assert (outcome.status, effects["built"]) == ("failed", 3)


def test_twin_RQ_calls_such_a_job_finished_and_keeps_a_text_in_place_of_its_result(bus: notify.Bus) -> None:
    stored = Result("id", Result.Type.SUCCESSFUL, bus.redis, return_value=object(), serializer="json").serialize()
    assert b64decode(stored["return_value"]) == b'"Unserializable return value"'


MISFITS: list[tuple[list[Any], dict[str, Any], str]] = [
    (["soon"], {}, "the argument 'at' of remind is \"soon\", which does not fit its annotation datetime (Invalid RFC3339"),
    ([NOON, "abc"], {}, "the argument 'times' of remind is \"abc\", which does not fit its annotation int: give a value that fits"),
    ([], {"at": NOON, "times": 1.5}, "the argument 'times' of remind is 1.5, which does not fit its annotation int"),
]


@pytest.mark.parametrize(("args", "kwargs", "message"), MISFITS)
def test_an_argument_that_does_not_fit_its_annotation_fails_the_job_before_it_begins(
    queue: Queue, effects: Effects, args: list[Any], kwargs: dict[str, Any], message: str
) -> None:
    for options in ({}, {"result_ttl": 0}):
        outcome = queue.enqueue("tests.support.typed_jobs.remind", *args, **kwargs, **options).wait(15)
        assert outcome is not None
        assert outcome.reason.startswith(f"workers.errors.JobArgumentsError: {message}")
    assert effects["reminded"] == 0


@pytest.mark.parametrize(("args", "kwargs", "message"), MISFITS)
def test_enqueue_refuses_such_an_argument_where_it_has_the_function(
    bus: notify.Bus, args: list[Any], kwargs: dict[str, Any], message: str
) -> None:
    queue = Queue("work", connection=bus.redis)
    for options in ({}, {"result_ttl": 60}):
        with pytest.raises(JobArgumentsError) as caught:
            queue.enqueue(remind, *args, **kwargs, **options)
        assert str(caught.value).startswith(message)
    with pytest.raises(JobArgumentsError):
        queue.enqueue_many([Queue.prepare_data(remind, args, kwargs)])
    assert queue.job_ids == []


def test_without_a_worker_values_take_the_same_way(bus: notify.Bus) -> None:
    queue = Queue("work", connection=bus.redis, is_async=False)
    values = {name: value for name, (value, _) in VALUES.items()}
    assert queue.enqueue(take_typed, **values).return_value() == [repr(value) for value in values.values()]
    assert queue.enqueue(take_untyped, **values).return_value() == [repr(form) for form in FORMS.values()]
    assert queue.enqueue(give_order, NOON).return_value() == Order(ID, [Item(NOON)])
    outcome = queue.enqueue(build).outcome
    assert isinstance(outcome, Outcome)
    assert (outcome.status, REFUSED in outcome.reason) == ("failed", True)
