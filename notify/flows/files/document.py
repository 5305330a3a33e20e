"""Reads a flow from a TOML file. Each error names the file, the line and the key."""

import difflib
import re
import tomllib
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from notify.bus import Bus
from notify.directory import Target, check_address, check_name, check_ttl, provides
from notify.errors import FlowError, FlowFileError, NotifyError, WiringError
from notify.flows.build import graph
from notify.flows.files.key_lines import KeyLines
from notify.flows.files.kind import Site
from notify.flows.files.kinds import KINDS, Same
from notify.flows.files.schema import Document, ServiceTable
from notify.flows.flow import Flow
from notify.flows.hosting import FlowProgram
from notify.flows.items import OUT
from notify.flows.wiring import stage

__all__ = ["FlowFile", "read_flow_file"]

WHERE: Final = re.compile(r" - at `\$(?P<path>[^`]*)`$")
"""Where an error of msgspec is."""
PLACES: Final = ("port", "unix", "path", "device", "argv")
"""The keys that say what a node opens."""
ANY: Final = "any "
"""``any lookup`` needs any service with the capability ``lookup``."""


class FlowFile:
    """A flow that was read from a file.

    Args:
        path: the file.
        text: what is in it.
        bus: returns the bus; called if a node, or the service, needs one.
        show: called with each item that a node of the kind ``print`` takes.

    Raises:
        FlowFileError: the file does not describe a flow.
    """

    def __init__(self, path: Path, text: str, *, bus: Callable[[], Bus], show: Callable[[Any], object]) -> None:
        self.path = path
        self._bus = bus
        self._lines = KeyLines("")
        self._document = self._read(text)
        self._check_service()
        self.flow = self._build(Site(path.parent.absolute(), bus, show))
        """The flow, which has not started."""

    @property
    def service(self) -> ServiceTable | None:
        """The service as which the flow is to be registered, or ``None``."""
        return self._document.service

    def program(self) -> FlowProgram:
        """Return the program that runs the flow as a service."""
        table = self.service or ServiceTable()
        needs: list[Target] = [provides(need.removeprefix(ANY)) if need.startswith(ANY) else need for need in table.needs]
        return FlowProgram(
            self._bus(),
            self.flow,
            name=table.name,
            provides=table.provides,
            needs=needs,
            address=table.address,
            ttl_s=table.ttl_s,
        )

    def not_opened(self, problem: FlowError) -> FlowError:
        """Return the error of a flow that could not start with the line of the node that could not be opened."""
        name = self.flow.unopened
        if name is None:
            return problem
        key = next((key for key in PLACES if key in self._document.nodes[name]), None)
        return type(problem)(str(self._problem(str(problem), "nodes", name, *([] if key is None else [key]))))

    def fail(self, message: str, *key: str) -> NoReturn:
        """Raise an error about a key."""
        raise self._problem(message, *key)

    def _problem(self, message: str, *key: str) -> FlowFileError:
        found, line = self._lines.find(*key)
        shown = ".".join(part if re.fullmatch(r"[\w-]+", part) else f'"{part}"' for part in key)
        return FlowFileError(f"{self.path}:{line}: {shown}: {message}" if found or shown else f"{self.path}: {message}")

    def _read(self, text: str) -> Document:
        try:
            read = tomllib.loads(text)
        except tomllib.TOMLDecodeError as exc:
            message, _, where = str(exc).partition(" (at ")
            line = re.search(r"line (\d+)", where)
            number = line[1] if line else text.count("\n") + 1
            raise FlowFileError(f"{self.path}:{number}: it is no TOML: {message[:1].lower()}{message[1:]}") from exc
        self._lines = KeyLines(text)
        document: Document = self._converted(read, Document)
        for table in ("nodes", "links"):
            if not getattr(document, table):
                self.fail("there are none: a flow has at least two nodes and a link (`notify flow schema` shows the keys)", table)
        return document

    def _converted(self, table: Any, kind: Any, *key: str) -> Any:
        """Return a table as a struct, or raise the error about the key."""
        try:
            return msgspec.convert(table, type=kind)
        except msgspec.ValidationError as exc:
            message = str(exc)
            where = WHERE.search(message)
            parts = re.findall(r"\.([\w-]+)", where["path"]) if where else []
            message = message[: where.start()] if where else message
            unknown = re.fullmatch(r"Object contains unknown field `(.*)`", message, re.DOTALL)
            missing = re.fullmatch(r"Object missing required field `(.*)`", message)
            if unknown:
                known = [field.encode_name for field in msgspec.structs.fields(kind)] if not parts else []
                message, parts = f"there is no such key{_closest(unknown[1], known)}", [*parts, unknown[1]]
            elif missing:
                message = f"the key {missing[1]!r} is missing"
            elif "matching regex" in message:
                message = "it is no reference: give module:name, such as 'lab:parse'"
            else:
                message = f"{message[:1].lower()}{message[1:]}".replace(" | null`", "`")  # TOML has no null
            self.fail(message, *key, *parts)

    def _check_service(self) -> None:
        """Raise the error about a key of the table of the service."""
        table = self._document.service or ServiceTable()
        checks: list[tuple[str, Callable[[], object]]] = [
            ("name", lambda: table.name is None or check_name(table.name)),
            ("provides", lambda: [check_name(name, what="a capability") for name in table.provides]),
            ("needs", lambda: [check_name(need.removeprefix(ANY)) for need in table.needs]),
            ("address", lambda: check_address(table.address)),
            ("ttl_s", lambda: table.ttl_s is None or check_ttl(table.ttl_s)),
        ]
        for key, check in checks:
            try:
                check()
            except ValueError as exc:
                raise self._problem(str(exc), "service", key) from exc

    def _build(self, site: Site) -> Flow:
        nodes: dict[str, Any] = {}
        for name, table in self._document.nodes.items():
            nodes[name] = self._kind(name, table)
        same = {name: kind for name, kind in nodes.items() if isinstance(kind, Same)}
        works = {name: self._work(name, kind, site) for name, kind in nodes.items() if name not in same}
        for name, kind in same.items():
            if kind.of not in works:
                self.fail(f"there is no node {kind.of!r} whose object this could be{_closest(kind.of, list(works))}", "nodes", name, "of")
            works[name] = works[kind.of]
        try:
            made = {
                name: stage(works[name], on_error=kind.policy, max_items=kind.max_items, gaps=kind.gaps, outlets=kind.outlets_given)
                for name, kind in nodes.items()
            }
            return graph(nodes=made, links=self._links(), name=self._document.name or self.path.stem)
        except WiringError as exc:
            self.fail(str(exc), *self._place(exc.place))

    def _kind(self, name: str, table: Any) -> Any:
        if not isinstance(table, dict):
            self.fail(f"it is no table: write [nodes.{name}], and kind = ... below it", "nodes", name)
        wanted = table.get("kind")
        if wanted not in KINDS:
            problem = "the key 'kind' is missing" if wanted is None else f"there is no kind {wanted!r}{_closest(wanted, list(KINDS))}"
            self.fail(f"{problem}: there are {', '.join(KINDS)}", "nodes", name, *([] if wanted is None else ["kind"]))
        return self._converted(table, KINDS[wanted], "nodes", name)

    def _work(self, name: str, kind: Any, site: Site) -> Any:
        try:
            return kind.work(site)
        except (FlowFileError, ValueError, TypeError) as exc:
            self.fail(str(exc), *self._key_in(str(exc), name))
        except NotifyError as exc:
            raise self._problem(str(exc), "nodes", name) from exc

    def _key_in(self, message: str, name: str) -> tuple[str, ...]:
        """Return the key of a node that a message is about: the one whose value it quotes, or that it names."""
        given = self._document.nodes[name]
        quoted = (key for key, value in given.items() if isinstance(value, str) and repr(value) in message)
        named = (word for word in re.findall(r"[\w-]+", message) if word in given)
        key = next(chain(quoted, named), None)
        return ("nodes", name) if key is None else ("nodes", name, key)

    def _links(self) -> list[tuple[tuple[str, str], str]]:
        links: list[tuple[tuple[str, str], str]] = []
        for start, ends in self._document.links.items():
            if isinstance(ends, dict):
                for outlet, inner in ends.items():
                    links += [((start, outlet), end) for end in self._ends(inner, "links", start, outlet)]
            else:
                links += [(self._start(start), end) for end in self._ends(ends, "links", start)]
        return links

    def _start(self, key: str) -> tuple[str, str]:
        """Return the node and the outlet that a key names: ``split``, or ``"split.critical"``."""
        node, _, outlet = key.rpartition(".")
        return (key, OUT) if key in self._document.nodes or not node else (node, outlet)

    def _ends(self, ends: Any, *key: str) -> list[str]:
        listed = ends if isinstance(ends, list) else [ends]
        if not all(isinstance(end, str) for end in listed):
            self.fail(f"a link ends at {ends!r}: give the name of a node, or a list of names", *key)
        return listed

    def _place(self, place: tuple[str, ...]) -> tuple[str, ...]:
        """Return the key of the file for the place of an error of wiring."""
        if place[:1] != ("links",):
            return place
        tries = [place, ("links", ".".join(place[1:])), place[:2]]
        return next((each for each in tries if each in self._lines), place)


def read_flow_file(path: Path, *, bus: Callable[[], Bus], show: Callable[[Any], object]) -> FlowFile:
    """Read a TOML file with a flow; arguments and errors as for `FlowFile`."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise FlowFileError(f"{path}: byte {exc.start} is no UTF-8: save the file as UTF-8") from exc
    except OSError as exc:
        raise FlowFileError(f"{path} cannot be read: {exc.strerror}") from exc
    return FlowFile(path, text, bus=bus, show=show)


def _closest(name: object, known: list[str]) -> str:
    found = difflib.get_close_matches(str(name), known, 1)
    return f" (did you mean {found[0]!r}?)" if found else ""
