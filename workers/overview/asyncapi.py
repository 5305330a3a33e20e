"""The document of AsyncAPI 3 that describes messages, jobs and services: what is sent where in Redis, and in which form."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, get_type_hints

import msgspec

from notify.errors import ContentsError
from notify.events import Message
from notify.keys import Keys
from notify.requests import exported_methods
from notify.values import Json
from workers import rq_keys
from workers.jobs import definition_of

__all__ = ["VERSION", "asyncapi_document"]

VERSION: Final = "3.0.0"
"""The version of AsyncAPI."""
SCHEMAS: Final = "#/components/schemas/"
TEXT: Final[dict[str, Any]] = {"type": "string"}
STATUSES: Final = (
    "enqueued",
    "scheduled",
    "deferred",
    "started",
    "finished",
    "failed",
    "stopped",
    "cancelled",
    "held",
    "released",
    "retried",
)
"""What an event about a job may say."""

Schema = dict[str, Any]


def asyncapi_document(
    *,
    messages: Iterable[type[Message]] = (),
    jobs: Iterable[Callable[..., Any]] = (),
    services: Mapping[str, object] | None = None,
    namespace: str = "notify",
    title: str = "Notify",
    version: str = "1.0.0",
) -> dict[str, Json]:
    """Return the document.

    Args:
        messages: message classes with a topic: each topic is a channel, to send to and to receive from.
        jobs: functions marked with ``@job``: each queue is a channel, with a message for each function; and so are the events of its jobs.
        services: the objects that services export, by the names of the services: each has a channel, whose requests have replies.
        namespace: the first part of the keys.
        title, version: of the document.

    Raises:
        ContentsError: a message class has no topic, or a field without a JSON schema.
        InvalidServiceError: an object exports no method.
    """
    drawing = _Drawing(Keys(namespace))
    for message in messages:
        drawing.add_message(message)
    for function in jobs:
        drawing.add_job(function)
    for name, exports in (services or {}).items():
        drawing.add_service(name, exports)
    return {
        "asyncapi": VERSION,
        "info": {"title": title, "version": version},
        "defaultContentType": "application/json",
        "servers": {"redis": {"host": "localhost:6379", "protocol": "redis", "description": "Redis or Valkey, with Notify's scripts."}},
        "channels": drawing.channels,
        "operations": drawing.operations,
        "components": {"messages": drawing.messages, "schemas": drawing.schemas},
    }


class _Drawing:
    """The parts of the document, while it is made."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self.channels: dict[str, Any] = {}
        self.operations: dict[str, Any] = {}
        self.messages: dict[str, Any] = {}
        self.schemas: dict[str, Any] = {}

    def add_message(self, cls: type[Message]) -> None:
        """Add the topic of a message class."""
        topic = getattr(cls, "topic", None)
        if topic is None:
            raise ContentsError(f"the message class {cls.__name__} has no topic: class {cls.__name__}(notify.Message, topic='...')")
        name = cls.__name__
        self._add_contents(cls)
        payload = _event_schema({"$ref": f"{SCHEMAS}{name}"})
        self._channel(f"event.{topic}", self._keys.channel(topic), f"Events on the topic {topic}.")
        self._message(f"event.{topic}", name, payload, about=inspect.getdoc(cls) if cls.__doc__ else None)
        self._operate("publish", f"event.{topic}", "send", f"Publish an event on {topic}.")
        self._operate("subscribe", f"event.{topic}", "receive", f"Receive the events on {topic}.")

    def add_job(self, function: Callable[..., Any]) -> None:
        """Add a job to the channel of its queue."""
        definition = definition_of(function)
        if definition is None:
            raise ContentsError(f"{function.__qualname__} is no job: mark it with @job")
        path, queue = f"{function.__module__}.{function.__qualname__}", definition.queue
        is_new = _name(f"queue.{queue}") not in self.channels
        self._channel(f"queue.{queue}", rq_keys.queue(queue), f"Ids of the jobs that wait on {queue}; the call of each is in rq:job:<id>.")
        args, kwargs = self._arguments(function)
        call = {"type": "array", "prefixItems": [{"const": path}, {"type": "null"}, args, kwargs], "minItems": 4, "maxItems": 4}
        self._message(f"queue.{queue}", f"job.{path}", call, about=inspect.getdoc(function))
        if is_new:
            self._operate("work", f"queue.{queue}", "receive", f"Take jobs from the queue {queue}, as workers do.")
            self._operate("enqueue", f"queue.{queue}", "send", f"Put jobs on the queue {queue}.")
            topic = self._keys.job_topic(queue)
            self._channel(f"event.{topic}", self._keys.channel(topic), f"What becomes of the jobs on {queue}.")
            told = {"type": "object", "properties": {"job": TEXT, "status": {"enum": list(STATUSES)}, "at_ms": {"type": "integer"}}}
            self._message(f"event.{topic}", f"transition.{queue}", _event_schema({**told, "required": ["job", "status"]}))
            self._operate("subscribe", f"event.{topic}", "receive", f"Follow the jobs on {queue}.")

    def add_service(self, service: str, exports: object) -> None:
        """Add the methods that a service exports: requests, each with a reply."""
        channel, replies = f"requests.{service}", f"answers.{service}"
        self._channel(channel, self._keys.requests(f"{service}#{{incarnation}}"), f"Requests to the service {service}.")
        self.channels[_name(channel)]["parameters"] = {"incarnation": {"description": "The number of its registration."}}
        self._channel(replies, self._keys.answers("{caller}"), f"Answers of the service {service}.")
        self.channels[_name(replies)]["parameters"] = {"caller": {"description": "The field caller of the request."}}
        for name, method in exported_methods(exports).items():
            args, kwargs = self._arguments(method)
            fields = {"id": TEXT, "method": {"const": name}, "args": args, "kwargs": kwargs, "caller": TEXT, "source": TEXT}
            request = {"type": "object", "properties": fields, "required": ["id", "method", "args", "kwargs", "caller"]}
            self._message(channel, f"request.{service}.{name}", request, about=inspect.getdoc(method))
            result = self._schema_of(_hints(method).get("return", Any))
            answer = {"type": "object", "properties": {"id": TEXT, "result": result, "error": _FAILURE}, "required": ["id"]}
            self._message(replies, f"answer.{service}.{name}", answer)
            self.operations[_name(f"serve.{service}.{name}")] = {
                "action": "receive",
                "summary": f"Answer calls of {name}.",
                "channel": {"$ref": f"#/channels/{_name(channel)}"},
                "messages": [{"$ref": f"#/channels/{_name(channel)}/messages/{_name(f'request.{service}.{name}')}"}],
                "reply": {
                    "channel": {"$ref": f"#/channels/{_name(replies)}"},
                    "messages": [{"$ref": f"#/channels/{_name(replies)}/messages/{_name(f'answer.{service}.{name}')}"}],
                },
            }

    def _channel(self, name: str, address: str, about: str) -> None:
        self.channels.setdefault(_name(name), {"address": address, "description": about, "messages": {}})

    def _message(self, channel: str, name: str, payload: Schema, *, about: str | None = None) -> None:
        self.messages[_name(name)] = {"name": name, "payload": payload} | ({"description": about} if about else {})
        self.channels[_name(channel)]["messages"][_name(name)] = {"$ref": f"#/components/messages/{_name(name)}"}

    def _operate(self, what: str, channel: str, action: str, about: str) -> None:
        self.operations[_name(f"{what}.{channel}")] = {
            "action": action,
            "summary": about,
            "channel": {"$ref": f"#/channels/{_name(channel)}"},
        }

    def _add_contents(self, cls: type[Message]) -> None:
        """Add the schema of a message class: its own fields, and any others, which are kept."""
        self._components(cls)
        schema = self.schemas[cls.__name__]
        extras = cls.__struct_encode_fields__[cls.__struct_fields__.index("extras")]
        schema.get("properties", {}).pop(extras, None)
        schema["additionalProperties"] = True

    def _arguments(self, function: Callable[..., Any]) -> tuple[Schema, Schema]:
        """Return the schemas of the arguments by position and of those by name."""
        hints, positional, named = _hints(function), [], {}
        has_more = False
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                has_more = True
                continue
            schema = self._schema_of(hints.get(parameter.name, Any))
            if parameter.kind is not parameter.KEYWORD_ONLY:
                positional.append(schema)
            named[parameter.name] = schema
        args: Schema = {"type": "array"} | ({"prefixItems": positional} if positional else {})
        return args | ({} if has_more else {"maxItems": len(positional)}), {"type": "object", "properties": named}

    def _schema_of(self, annotation: Any) -> Schema:
        """Return the schema of an annotation; one that allows all if there is none for it, as for `Any`."""
        try:
            return self._components(annotation)
        except (ContentsError, TypeError):
            return {}

    def _components(self, annotation: Any) -> Schema:
        try:
            (schema,), found = msgspec.json.schema_components([annotation], ref_template=f"{SCHEMAS}{{name}}")
        except TypeError as exc:
            raise ContentsError(f"{annotation!r} has no JSON schema: {exc}") from exc
        for name, component in found.items():
            self.schemas.setdefault(name, component)
        return schema


_FAILURE: Final[Schema] = {
    "type": "object",
    "properties": {"type": TEXT, "message": TEXT, "fatal": {"type": "boolean"}},
    "required": ["type", "message"],
}


def _event_schema(contents: Schema) -> Schema:
    """Return the schema of an event with contents: its JSON form in Redis."""
    fields = {
        "topic": TEXT,
        "time": {"type": "string", "format": "date-time"},
        "source": TEXT,
        "contents": contents,
        "error": _FAILURE,
        "id": TEXT,
        "prev": TEXT,
        "traceparent": TEXT,
        "tracestate": TEXT,
    }
    return {"type": "object", "properties": fields, "required": ["topic", "time"]}


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return get_type_hints(function)
    except Exception:  # an annotation that is evaluated late, and fails
        return {}


def _name(text: str) -> str:
    """Return a name that the document may have as a key: letters, digits, ``-`` (also for a dot) and ``_``."""
    return "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "-" if letter == "." else "_" for letter in text
    )
