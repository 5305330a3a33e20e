"""The contents of events, and the text of items."""

from typing import Any

from notify.errors import ContentsError
from notify.events import Event

__all__ = ["contents", "text_of"]


def contents(item: Any) -> Any:
    """Return the contents of an `Event`; any other item as it is. A stage behind a subscription, for stages that take plain values."""
    return item.contents if isinstance(item, Event) else item


def text_of(item: Any) -> str:
    """Return the text of an item, of an event its contents.

    Raises:
        ContentsError: it is neither text nor UTF-8 bytes.
    """
    value = contents(item)
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as exc:
            raise ContentsError(f"{value[:40]!r} is no UTF-8 text: decode it in a stage before") from exc
    raise ContentsError(f"a pattern matches text, and the item is a {type(value).__name__}: give a predicate, or make text of it before")
