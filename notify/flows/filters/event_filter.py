"""Filters that hand on matching items only, as they are or in another form."""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from notify.errors import WiringError
from notify.flows.filters.text import contents, text_of
from notify.flows.protocol import Stage

__all__ = ["EventFilter", "format_output", "matches"]

Predicate: TypeAlias = Callable[[Any], object]


def matches(pattern: str | re.Pattern[str] | Predicate, *, groups: bool = False) -> Callable[[Any], Any]:
    """Return a stage that hands on the items that match, and no others.

    Args:
        pattern: a regular expression, which may match anywhere in the text of an item (of an event: in its contents); or a function of
            the item.
        groups: whether to hand on the groups of the match, as a tuple, in place of the item; for `format_output`.

    Raises:
        WiringError: the pattern is no regular expression and no function, or a function has no groups.
    """
    if isinstance(pattern, str):
        try:
            pattern = re.compile(pattern)
        except re.error as exc:
            raise WiringError(f"{pattern!r} is no regular expression: {exc}") from exc
    if not isinstance(pattern, re.Pattern) and (groups or not callable(pattern)):
        raise WiringError(f"matches takes a regular expression or a function, and groups=True a regular expression, not {pattern!r}")
    test: Predicate = pattern if callable(pattern) else (lambda item: pattern.search(text_of(item)))

    def stage(item: Any) -> Any:
        found = test(item)
        if isinstance(found, re.Match):
            return found.groups() if groups else [item]
        return [item] if found else None

    stage.__name__ = "matches"
    return stage


def format_output(form: str | Callable[..., Any]) -> Callable[[Any], Any]:
    """Return a stage that hands on items in another form.

    Args:
        form: a text with fields, as for `str.format`, or a function. A tuple gives the positional fields or arguments, a mapping the
            named ones, anything else the first one. Of an event the contents are taken.
    """
    if not callable(form) and not isinstance(form, str):
        raise WiringError(f"format_output takes a text with fields, or a function, not {form!r}")
    call: Callable[..., Any] = form.format if isinstance(form, str) else form

    def stage(item: Any) -> Any:
        value = contents(item)
        if isinstance(value, tuple):
            return call(*value)
        return call(**value) if isinstance(value, Mapping) else call(value)

    stage.__name__ = "format_output"
    return stage


class EventFilter(Stage):
    """The base class of filters that choose items and give them another form.

    ::

        class Alarms(EventFilter):
            pattern = r"ALARM (\\w+) (\\d+)"

            def format_output(self, place, level):
                return f"{place}: {level}"

    An item passes `prepare`, which may block, for example for a look-up in a database; then `match`; then `format_output`. A filter has a
    thread of its own, so while it blocks the other parts of the flow go on.
    """

    pattern: str | re.Pattern[str] = ""
    """A regular expression, which `match` searches in the text of an item."""

    def prepare(self, item: Any) -> Any:
        """Return the item to match, or ``None`` to hand on nothing; by default the item as it is."""
        return item

    def match(self, item: Any) -> Any:
        """Return the arguments of `format_output` as a tuple; ``True`` for the item as the only one; a false value to hand on nothing.

        By default the groups of `pattern`, or the item if it has none.
        """
        found = re.search(self.pattern, text_of(item))
        return None if found is None else found.groups() or True

    def format_output(self, *args: Any) -> Any:
        """Return what is handed on; by default the first argument."""
        return args[0]

    def take(self, item: Any) -> Any:
        prepared = self.prepare(item)
        found = None if prepared is None else self.match(prepared)
        if isinstance(found, tuple):
            return self.format_output(*found)
        return self.format_output(prepared) if found else None
