"""``notify asyncapi``: a document that follows the specification, and describes what is really sent."""

import json
import re
import warnings
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import notify
from tests.cli.conftest import Shell
from tests.support.described import Item, Reading, Stock, look, sweep
from workers import Queue
from workers.overview.asyncapi import asyncapi_document

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # fields of its models are called like methods of Pydantic
    from asyncapi3 import AsyncAPI3

ROOT = str(Path(__file__).parents[3])
MODULE = "tests.support.described"


@pytest.fixture
def document() -> Any:
    return asyncapi_document(messages=[Reading], jobs=[sweep, look], services={"stock": object.__new__(Stock)}, namespace="yard")


def resolved(document: Any, reference: str) -> Any:
    assert reference.startswith("#/")
    for part in reference[2:].split("/"):
        document = document[part]
    return document


def payload(document: Any, name: str) -> Any:
    """The schema of a message, with the components that it refers to."""
    return {**document["components"]["messages"][name.replace(".", "-")]["payload"], "components": document["components"]}


def test_it_is_valid_asyncapi_3_and_each_reference_leads_somewhere(document: Any) -> None:
    AsyncAPI3.model_validate(document)
    references = re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))
    assert len(references) > 20
    assert all(resolved(document, reference) is not None for reference in references)
    keys = [*document["channels"], *document["operations"], *document["components"]["messages"], *document["components"]["schemas"]]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", key) for key in keys)


def test_what_is_not_asyncapi_is_found() -> None:
    with pytest.raises(ValueError, match="action"):
        AsyncAPI3.model_validate({"asyncapi": "3.0.0", "info": {"title": "t", "version": "1"}, "operations": {"a": {"action": "shout"}}})


def test_the_channels_are_the_keys_and_channels_of_redis(document: Any) -> None:
    assert {name: channel["address"] for name, channel in document["channels"].items()} == {
        "event-temperature": "yard:event:temperature",
        "queue-yard": "rq:queue:yard",
        "event-job-yard": "yard:event:job.yard",
        "requests-stock": "yard:requests:stock#{incarnation}",
        "answers-stock": "yard:answers:{caller}",
    }


def test_the_schemas_fit_what_is_really_sent(document: Any, bus: notify.Bus) -> None:
    with bus.subscribe("temperature", "job.yard") as events:
        bus.publish(Reading(celsius=21.5))
        job = Queue("yard", connection=bus.redis).enqueue(sweep, Item("leaf"), "2026-01-01")
        assert [events.get(5) for _ in range(2)]
    for topic, name in (("temperature", "Reading"), ("job.yard", "transition.yard")):
        ((_, fields),) = bus.redis.xrange(bus.keys.log(topic))
        jsonschema.validate(json.loads(fields[b"data"]), payload(document, name))
    call = json.loads(bus.redis.hget(job.key, "data"))
    jsonschema.validate(call, payload(document, f"job.{MODULE}.sweep"))
    for wrong in ([*call[:2], [{"name": 5}], {}], ["another.path", *call[1:]], [*call[:2], [1, 2, 3, 4], {}]):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, payload(document, f"job.{MODULE}.sweep"))
    request = {"id": "1", "method": "reserve", "args": [{"name": "leaf"}], "kwargs": {}, "caller": "c", "source": "s"}
    jsonschema.validate(request, payload(document, "request.stock.reserve"))
    jsonschema.validate({"id": "1", "result": [{"name": "leaf", "count": 1}]}, payload(document, "answer.stock.reserve"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"id": "1", "result": 5}, payload(document, "answer.stock.reserve"))


def test_a_message_may_have_more_fields_than_its_class(document: Any) -> None:
    schema = document["components"]["schemas"]["Reading"]
    assert (set(schema["properties"]), schema["required"], schema["additionalProperties"]) == ({"celsius", "sensor"}, ["celsius"], True)
    assert document["components"]["messages"]["Reading"]["description"] == "A temperature."


def test_an_operation_that_serves_has_a_reply(document: Any) -> None:
    serve = document["operations"]["serve-stock-count"]
    assert (serve["action"], set(serve["reply"])) == ("receive", {"channel", "messages"})
    assert {name.partition("-")[0] for name in document["operations"]} == {"publish", "subscribe", "work", "enqueue", "serve"}


def test_what_cannot_be_described_is_refused_or_allows_all(document: Any) -> None:
    class NoTopic(notify.Message):
        a: int

    with pytest.raises(notify.ContentsError, match="has no topic"):
        asyncapi_document(messages=[NoTopic])
    with pytest.raises(notify.ContentsError, match="is no job"):
        asyncapi_document(jobs=[payload])
    call = payload(document, f"job.{MODULE}.look")["prefixItems"]
    assert call[2] == {"type": "array"}
    assert call[3]["properties"]["odd"] == {}


def test_the_command_prints_the_document_of_modules(shell: Shell) -> None:
    done = shell.run(
        "asyncapi", MODULE, "--service", f"stock={MODULE}:Stock", "--title", "The yard", PYTHONPATH=ROOT, NOTIFY_URL="unix:///nowhere"
    )
    assert done.code == 0, done.err
    document = json.loads(done.out)
    AsyncAPI3.model_validate(document)
    assert document["info"] == {"title": "The yard", "version": "1.0.0"}
    assert {"Reading", f"job.{MODULE}.sweep", "request.stock.reserve"} <= {
        each["name"] for each in document["components"]["messages"].values()
    }
    (as_line,) = shell.run("--json", "asyncapi", MODULE, PYTHONPATH=ROOT).records
    assert as_line["asyncapi"] == "3.0.0"
    service = json.loads(shell.run("asyncapi", "--service", f"stock={MODULE}:Stock", PYTHONPATH=ROOT).out)
    assert {each["name"] for each in service["components"]["messages"].values()} <= {
        each["name"] for each in document["components"]["messages"].values()
    }
    assert "request.stock.reserve" in {each["name"] for each in service["components"]["messages"].values()}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "there is nothing to describe: give modules, or --service"),
        (["no_such"], "cannot import 'no_such'"),
        (["no_such.py"], "give the name of the module, 'no_such'"),
        (["redis"], "because 'redis' is loaded from"),  # and not the file of that name in the folder
        ([MODULE, "--service", "x"], "give NAME=MODULE:CLASS"),
        ([MODULE, "--service", f"x={MODULE}:Nobody"], "has no class"),
    ],
)
def test_wrong_usage_is_told(shell: Shell, arguments: list[str], said: str) -> None:
    (shell.folder / "redis.py").touch()
    done = shell.run("asyncapi", *arguments, PYTHONPATH=ROOT)
    assert (done.code, said in done.err) == (2, True)
