"""CloudEvents 1.0 in their structured JSON form: an event as one, and one as an event.

The attributes ``id``, ``source``, ``time``, ``data``, ``traceparent`` and ``tracestate`` are those of the event, its contents and its span,
and ``type`` is its topic. An event that holds an error has the extension ``notifykind`` with the value ``error``.
"""

from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, unquote
from uuid import uuid4

import msgspec

from notify.errors import ContentsError
from notify.events.event import Event, Failure
from notify.events.message import Message
from notify.events.topic import check_topic
from notify.values import Json

__all__ = ["cloudevent_of", "event_of_cloudevent"]

VERSION: Final = "1.0"
JSON_TYPES: Final = ("application/json", "text/json")
SAFE: Final = "!$&'()*+,-./:;=@_~"
"""Characters that stay as they are in a URI reference."""
KIND: Final = "notifykind"


class _CloudEvent(msgspec.Struct):
    """The attributes that are read of a CloudEvent. Others are allowed, and not kept."""

    specversion: str
    id: str
    source: str
    type: str
    time: datetime | None = None
    datacontenttype: str = JSON_TYPES[0]
    data: Any = None
    data_base64: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    notifykind: str | None = None


def cloudevent_of(event: Event) -> dict[str, Json]:
    """Return an event as a CloudEvent. One that is in no log gets a new id.

    Raises:
        ContentsError: a message does not fit its class.
    """
    contents = event.contents
    data: Any = contents.checked_contents() if isinstance(contents, Message) else msgspec.to_builtins(contents)
    found: dict[str, Json] = {
        "specversion": VERSION,
        "id": event.id or str(uuid4()),
        "source": quote(event.source or "notify", safe=SAFE),
        "type": event.topic,
        "time": event.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "datacontenttype": JSON_TYPES[0],
        "data": data,
    }
    if isinstance(contents, Failure):
        found[KIND] = "error"
    if event.traceparent:
        found["traceparent"] = event.traceparent
        if event.tracestate:
            found["tracestate"] = event.tracestate
    return found


def event_of_cloudevent(cloudevent: object, *, topic: str | None = None) -> tuple[Event, str]:
    """Return the event for a CloudEvent, and an idempotency key: CloudEvents with the same source and id are the same.

    Pass both to a publisher: ``bus.register_publisher(event.topic)(event, key=key)``.

    Args:
        cloudevent: the JSON object, or its text.
        topic: the topic; by default the ``type`` of the CloudEvent.

    Raises:
        ContentsError: it is no CloudEvent 1.0, or its data are no JSON.
        InvalidTopicError: its type cannot be a topic.
    """
    try:
        if isinstance(cloudevent, str | bytes):
            found = msgspec.json.decode(cloudevent, type=_CloudEvent)
        else:
            found = msgspec.convert(cloudevent, _CloudEvent)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ContentsError(f"this is no CloudEvent in structured JSON: {exc}") from exc
    if found.specversion != VERSION or not (found.id and found.source and found.type):
        raise ContentsError("this is no CloudEvent 1.0: it needs specversion 1.0 and an id, a source and a type that are not empty")
    media = found.datacontenttype.partition(";")[0].strip().lower()
    if found.data_base64 is not None or not (media in JSON_TYPES or media.endswith("+json") or isinstance(found.data, str)):
        raise ContentsError(f"the data of CloudEvent {found.id!r} are {media}, and contents are JSON or text: encode them before")
    contents: Any = found.data
    if found.notifykind == "error":
        try:
            contents = msgspec.convert(contents, Failure)
        except msgspec.ValidationError as exc:
            raise ContentsError(f"the data of CloudEvent {found.id!r} are no error: {exc}") from exc
    time = found.time or datetime.now(UTC)
    event = Event(
        topic=check_topic(found.type if topic is None else topic),
        contents=contents,
        time=time if time.tzinfo else time.replace(tzinfo=UTC),
        source=unquote(found.source),
        traceparent=found.traceparent,
        tracestate=found.tracestate,
    )
    return event, f"{found.source} {found.id}"
