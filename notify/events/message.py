"""Typed messages: the base class for typed contents of events, and the registry of the message classes of a bus."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, ClassVar, Self, TypeAlias, TypeVar

import msgspec

from notify.errors import ContentsError, DuplicateMessageError, UnknownMessageError
from notify.events.topic import check_topic, check_topic_or_pattern
from notify.values import Json

__all__ = ["Message", "Messages", "Subscribable", "classes_by_topic", "message_topic", "topics_by_name"]

M = TypeVar("M", bound="Message")


class _MessageMeta(msgspec.StructMeta):
    """The metaclass of `Message`: a class statement takes the keyword ``topic`` and the options of a ``msgspec.Struct``."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], *, topic: str | None = None, **options: Any) -> Any:
        options.setdefault("frozen", True)
        options.setdefault("kw_only", True)
        if options.get("array_like"):
            raise ContentsError(
                f"the message class {name!r} cannot be array_like, as its contents must be a JSON object: remove the option"
            )
        cls = super().__new__(mcs, name, bases, namespace, **options)
        if topic is not None:
            type.__setattr__(cls, "topic", check_topic(topic))
        return cls


class Message(msgspec.Struct, metaclass=_MessageMeta):
    """The base class of typed messages.

    ::

        class Reading(notify.Message, topic="temperature"):
            celsius: float
            sensor: str = "outside"

    Fields without a default are required. Received fields that the class does not define are kept in `extras` and sent again
    with the message. A class takes the options of a `msgspec.Struct`, such as ``rename``, except ``array_like``.
    """

    topic: ClassVar[str]
    extras: dict[str, Any] = {}

    def to_contents(self) -> dict[str, Json]:
        """Return the message as the contents of an event."""
        fields: dict[str, Json] = msgspec.to_builtins(self, str_keys=True)
        extras = fields.pop(_encoded_name(type(self), "extras"), None)  # a class with omit_defaults leaves it out
        return {**extras, **fields} if isinstance(extras, dict) else fields

    def checked_contents(self) -> dict[str, Json]:
        """Return `to_contents`, after a check that `from_contents` accepts it.

        Raises:
            ContentsError: the value of a field has the wrong type.
        """
        contents = self.to_contents()
        self.from_contents(contents)
        return contents

    @classmethod
    def from_contents(cls, contents: Any) -> Self:
        """Return the message for the contents of an event.

        Raises:
            ContentsError: the contents do not fit the class; the message says where.
        """
        if not isinstance(contents, dict):
            raise ContentsError(f"the contents of a {cls.__name__} must be a JSON object, not {contents!r}")
        extras = _encoded_name(cls, "extras")
        names = {*cls.__struct_encode_fields__, cls.__struct_config__.tag_field} - {extras}
        known = {name: value for name, value in contents.items() if name in names}
        try:
            fields = {**known, extras: {name: value for name, value in contents.items() if name not in names}}
            message = msgspec.convert(fields, cls, str_keys=True)
        except Exception as exc:  # a ValidationError, or any error that __post_init__ of the class raises
            raise ContentsError(f"the contents are not a {cls.__name__}: {exc}") from exc
        return message


def topics_by_name(topics: Sequence[str | type[Message]]) -> dict[str, str | type[Message]]:
    """Return topics, patterns and message classes by name; a class stands for its topic, also if the name is given too.

    Raises:
        InvalidTopicError: a topic cannot be subscribed to.
        ContentsError: as for `classes_by_topic`.
    """
    names = {check_topic_or_pattern(topic): topic for topic in topics if not isinstance(topic, type)}
    return {**names, **classes_by_topic([topic for topic in topics if isinstance(topic, type)])}


Subscribable: TypeAlias = str | type[Message] | Collection[str | type[Message]]
"""A topic name, a glob pattern or a message class, or a collection of several."""


def _encoded_name(cls: type[Message], field: str) -> str:
    """Return the name of a field in JSON, which the option ``rename`` of the class may change."""
    return cls.__struct_encode_fields__[cls.__struct_fields__.index(field)]


def message_topic(cls: object) -> str:
    """Return the topic of a message class; raise `ContentsError` for anything else, and for a class without a topic."""
    if not (isinstance(cls, type) and issubclass(cls, Message)) or not hasattr(cls, "topic"):
        raise ContentsError(f"{cls!r} is not a message class with a topic: derive it as class Reading(notify.Message, topic='temperature')")
    return cls.topic


def classes_by_topic(classes: Sequence[type[Message]]) -> dict[str, type[Message]]:
    """Return topic → message class. Raises `ContentsError` if a class has no topic, or two classes have the same topic."""
    by_topic: dict[str, type[Message]] = {}
    for cls in classes:
        other = by_topic.setdefault(message_topic(cls), cls)
        if other is not cls:
            raise ContentsError(
                f"{other.__name__} and {cls.__name__} are both messages of {cls.topic!r}: subscribe to one of them, or to the topic"
            )
    return by_topic


class Messages:
    """The registry of the message classes of a bus, by name."""

    def __init__(self) -> None:
        self._classes: dict[str, type[Message]] = {}

    def add(self, cls: type[M]) -> type[M]:
        """Add a class and return it; can be used as a decorator.

        Raises:
            DuplicateMessageError: another class with that name is registered.
            ContentsError: the class is not a message class, or has no topic.
        """
        message_topic(cls)
        if self._classes.get(cls.__name__, cls) is not cls:
            raise DuplicateMessageError(
                f"a message class named {cls.__name__!r} is registered already, {self._classes[cls.__name__]!r}: rename one of them"
            )
        self._classes[cls.__name__] = cls
        return cls

    def get(self, name: str) -> type[Message]:
        """Return the class with that name, or raise `UnknownMessageError`."""
        if name not in self._classes:
            raise UnknownMessageError(f"no message class is named {name!r}; registered are {', '.join(sorted(self._classes)) or 'none'}")
        return self._classes[name]

    def remove(self, name: str) -> None:
        """Remove a class, or raise `UnknownMessageError`."""
        self.get(name)
        del self._classes[name]

    def names(self, *, include: frozenset[str] | None = None, exclude: frozenset[str] = frozenset()) -> list[str]:
        """Return the names of the classes, sorted: only those in ``include``, if given, and none of those in ``exclude``."""
        return sorted(name for name in self._classes if (include is None or name in include) and name not in exclude)

    def __iter__(self) -> Iterator[type[Message]]:
        return iter([self._classes[name] for name in self.names()])

    def __contains__(self, cls: object) -> bool:
        return cls in self._classes.values()

    def __len__(self) -> int:
        return len(self._classes)
