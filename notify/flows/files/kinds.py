"""The kinds of nodes of a flow file. The names of their fields are the keys of the file."""

import re
from typing import Any, Final, Literal

import msgspec

from notify.errors import FlowFileError
from notify.flows.build import discard
from notify.flows.files.kind import Above0, Kind, Name, Reference, Site, kind_name, value_of
from notify.flows.files.lines import Command, Serial, Stdin, Tail
from notify.flows.files.network import TcpClient, TcpServer
from notify.flows.files.storage import Read, Record, Replay, Write
from notify.flows.filters import batch, changed_by, contents, demux, distinct, format_output, lookup, matches, throttle
from notify.flows.filters.text import text_of
from notify.flows.items import ERROR
from notify.flows.topics import publish_to, subscribe_to

__all__ = ["KINDS"]


class Items(Kind, frozen=True):
    """source: the items in the file, for a try"""

    items: list[Any]

    def work(self, site: Site) -> Any:
        return list(self.items)


class Subscribe(Kind, frozen=True):
    """source: the events of topics and patterns"""

    topics: list[Name]
    since: str | None = None
    position: Name | None = None
    exclude_own: bool = False

    def work(self, site: Site) -> Any:
        return subscribe_to(site.bus(), *self.topics, since=self.since, position=self.position, exclude_own=self.exclude_own)


class Function(Kind, frozen=True):
    """source, stage or sink: a function, or an iterable, that a module defines; with outlets it returns To"""

    call: Reference
    outlets: list[Name] | None = None

    @property
    def outlets_given(self) -> list[str] | None:
        return self.outlets

    def work(self, site: Site) -> Any:
        return site.find(self.call)


class Made(Kind, frozen=True):
    """source, stage or sink: what a class or function of a module returns for the arguments"""

    make: Reference
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)

    def work(self, site: Site) -> Any:
        return site.function(self.make)(**self.arguments)


class Same(Kind, frozen=True):
    """source and sink in one: the object of another node, at a second place of the flow"""

    of: Name


class Contents(Kind, frozen=True):
    """stage: the contents of an event"""

    def work(self, site: Site) -> Any:
        return contents


class Matches(Kind, frozen=True):
    """stage: the items whose text matches a regular expression; with groups its groups"""

    pattern: str
    groups: bool = False

    def work(self, site: Site) -> Any:
        return matches(self.pattern, groups=self.groups)


class Format(Kind, frozen=True):
    """stage: a text with fields, such as {0} or {celsius}"""

    form: str

    def work(self, site: Site) -> Any:
        return format_output(self.form)


class Lookup(Kind, frozen=True):
    """stage: what a function returns that may block, in threads, in order"""

    call: Reference
    cache_s: Above0 | None = None
    threads: int = 4

    def work(self, site: Site) -> Any:
        return lookup(site.function(self.call), cache_s=self.cache_s, threads=self.threads)


class Demux(Kind, frozen=True):
    """stage: each item to the outlet that a function names, or to the first one whose pattern matches its text"""

    classify: Reference | None = None
    outlets: list[Name] | None = None
    patterns: dict[Name, str] | None = None
    otherwise: str = ERROR

    def work(self, site: Site) -> Any:
        if self.patterns is not None and self.classify is None:
            outlets = self.outlets or list(dict.fromkeys([*self.patterns, *([] if self.otherwise == ERROR else [self.otherwise])]))
            return demux(classifier(self.patterns), outlets=outlets, otherwise=self.otherwise)
        if self.classify is None or self.patterns is not None or self.outlets is None:
            raise FlowFileError("a demux takes either patterns, outlet = regular expression, or classify, a function, and outlets")
        return demux(site.function(self.classify), outlets=self.outlets, otherwise=self.otherwise)


class Throttle(Kind, frozen=True):
    """stage: at most so many items a second"""

    per_s: Above0
    drop: bool = False

    def work(self, site: Site) -> Any:
        return throttle(self.per_s, drop=self.drop)


class Distinct(Kind, frozen=True):
    """stage: one of several items with the same key, or field, within a time"""

    window_s: Above0 = 60.0
    key: Reference | None = None
    field: Name | None = None

    def work(self, site: Site) -> Any:
        return distinct(value_of(site, self.key, self.field), self.window_s)


class Batch(Kind, frozen=True):
    """stage: lists of n items, or of those that came within some seconds"""

    n: int
    s: Above0 | None = None

    def work(self, site: Site) -> Any:
        return batch(self.n, self.s)


class Changed(Kind, frozen=True):
    """stage: items whose value differs by more than a threshold"""

    threshold: float
    against: Literal["published", "previous"] = "published"
    value: Reference | None = None
    field: Name | None = None

    def work(self, site: Site) -> Any:
        return changed_by(self.threshold, against=self.against, value=value_of(site, self.value, self.field))


class Publish(Kind, frozen=True):
    """sink, or with forward a stage: publishes each item; without a topic each event on its own"""

    topic: Name | None = None
    forward: bool = False
    waits_for: Name | None = None

    def work(self, site: Site) -> Any:
        return publish_to(site.bus(), self.topic, forward=self.forward, waits_for=self.waits_for)


class Print(Kind, frozen=True):
    """sink: prints each item, one a line"""

    def work(self, site: Site) -> Any:
        return site.show


class Discard(Kind, frozen=True):
    """sink: takes items and does nothing"""

    def work(self, site: Site) -> Any:
        return discard


def classifier(patterns: dict[str, str]) -> Any:
    """Return the function that names the first outlet whose pattern matches."""
    compiled = []
    for outlet, pattern in patterns.items():
        try:
            compiled.append((outlet, re.compile(pattern)))
        except re.error as exc:
            raise FlowFileError(f"patterns: {pattern!r} of {outlet!r} is no regular expression: {exc}") from exc

    def classify(item: Any) -> str | None:
        text = text_of(item)
        return next((outlet for outlet, pattern in compiled if pattern.search(text)), None)

    return classify


KINDS: Final[dict[str, type[Kind]]] = {
    kind_name(kind.__name__): kind
    for kind in (
        Items,
        Stdin,
        Read,
        Tail,
        Command,
        Serial,
        TcpServer,
        TcpClient,
        Subscribe,
        Replay,
        Function,
        Made,
        Same,
        Contents,
        Matches,
        Format,
        Lookup,
        Demux,
        Throttle,
        Distinct,
        Batch,
        Changed,
        Publish,
        Record,
        Write,
        Print,
        Discard,
    )
}
"""The kinds by their names in the file."""
