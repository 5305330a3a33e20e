"""Reads the Lua scripts of the packages: the names in their headers, and the lines that bind KEYS and ARGV to those names."""

import hashlib
import re
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from notify.server import scripts
from notify.server.scripts import ScriptRunner, load_script

ROOTS = tuple(Path(import_module(name).__file__ or "").parent for name in ("notify", "workers"))
TAIL = "..."
COMMON = ["NOW_AT", "BODY"]
"""The first two arguments of a script of jobs; ``parts/prefixes.lua`` binds them."""

_BINDING = re.compile(r"^local ([\w, ]+) = (?:unpack\((KEYS|ARGV)(?:, ([\w +]+))?(?:, ([\w +]+))?\)|(KEYS|ARGV)\[1\])$", re.MULTILINE)


class LuaFile(NamedTuple):
    """A Lua file, named ``notify.events.publish``; a part ``notify.events.parts.append``."""

    name: str
    text: str

    @property
    def is_part(self) -> bool:
        return ".parts." in self.name

    @property
    def header(self) -> str:
        """The comment that the file opens with."""
        found = re.match(r"(?:--.*\n)+", self.text)
        return found[0] if found else ""

    @property
    def code(self) -> str:
        """The rest of the file without its comments."""
        return re.sub(r"--.*", "", self.text.removeprefix(self.header))

    def names(self, kind: str) -> list[str]:
        """The names of the KEYS or ARGV in the header, in their order; ``...`` stands for any number of them."""
        names: list[str] = []
        section = ""
        for line in self.header.splitlines():
            if started := re.match(r"-- (\w+) +(.*)", line):
                section, column = started[1], started[2]
            elif not (more := re.match(r"--         (\S.*)", line)):
                continue
            else:
                column = more[1]
            if section == kind and not column.startswith("none"):
                names += column.split("  ")[0].split(", ")
        return names

    def bound(self, kind: str) -> list[tuple[int, str]]:
        """The names that the file binds KEYS or ARGV to, each with its place; the first own argument of a state script counts as 1."""
        found: list[tuple[int, str]] = []
        for names, unpacked, start, end, first in _BINDING.findall(self.text):
            if kind in (unpacked, first):
                listed, at = names.split(", "), self.value(start or "1")
                assert not end or self.value(end) == at + len(listed) - 1, f"{self.name} binds {names} to another number of values"
                found += enumerate(listed, at)
        return found

    def value(self, expression: str) -> int:
        """The value of a sum of numbers and of OWN."""
        own = 3 if self.names("ARGV")[:2] == COMMON else 1
        return sum(own if term == "OWN" else int(term) for term in expression.split(" + "))


def lua_files() -> list[LuaFile]:
    """All Lua files of the packages."""
    return [LuaFile(_dotted(root, path), path.read_text()) for root in ROOTS for path in sorted(root.rglob("*.lua"))]


def _dotted(root: Path, path: Path) -> str:
    return ".".join(path.relative_to(root.parent).with_suffix("").parts).replace(".lua.", ".")


class ScriptCall(NamedTuple):
    """A recorded call of a script, with the names of its values."""

    script: str
    keys: dict[str, Any]
    args: dict[str, Any]


class _RecordedError(BaseException):
    """Ends a typed method where it would send its script."""


def script_call(monkeypatch: pytest.MonkeyPatch, call: Callable[[], object]) -> ScriptCall:
    """Return the script that a typed method runs, and its values by the names in the header of that script."""
    recorded: list[tuple[str, Sequence[Any], Sequence[Any]]] = []

    def run(runner: ScriptRunner, name: str, keys: Sequence[Any], args: Sequence[Any], **_: Any) -> None:
        recorded.append((f"{runner._package}.{name}", keys, args))
        raise _RecordedError

    def run_many(runner: ScriptRunner, name: str, calls: Sequence[tuple[Sequence[Any], Sequence[Any]]], **_: Any) -> None:
        run(runner, name, *calls[0])

    with monkeypatch.context() as patch:
        patch.setattr(ScriptRunner, "run", run)
        patch.setattr(ScriptRunner, "run_many", run_many)
        with pytest.raises(_RecordedError):
            call()
    ((name, keys, args),) = recorded
    (file,) = (file for file in lua_files() if file.name == name)
    return ScriptCall(name, _by_name(file.names("KEYS"), keys), _by_name(file.names("ARGV"), args))


def _by_name(names: list[str], values: Sequence[Any]) -> dict[str, Any]:
    """Values by their names. Those of the first ``...`` stand before the names that follow it, those of the last behind all names."""
    values, found = list(values), {}
    if names[:1] == [TAIL] and len(names) > 1:
        rest = names[1:]
        count = len(values) - len([name for name in rest if name != TAIL]) if TAIL not in rest else 3
        found["fences"], values, names = values[:count], values[count:], rest
    if names[-1:] == [TAIL]:
        names = names[:-1]
        found[TAIL], values = values[len(names) :], values[: len(names)]
    return {**dict(zip(names, values, strict=True)), **found}


class Holding(NamedTuple):
    """Equal to every text that holds this one."""

    part: str

    def __eq__(self, other: object) -> bool:
        return self.part in (other.decode() if isinstance(other, bytes) else str(other))

    __hash__ = None  # type: ignore[assignment]  # it is equal to many texts


def patch_script(monkeypatch: pytest.MonkeyPatch, name: str | None, old: str, new: str) -> None:
    """Replace a part of the source of a script, or with ``None`` of every script that has this part: for the unprotected twin of a test."""

    def load(package: str, script: str, prelude: str = "") -> tuple[str, str]:
        source = load_script(package, script, prelude)[0]
        if name in (None, script):
            assert old in source or name is None, f"{script} has no {old!r}"
            source = source.replace(old, new)
        return source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    monkeypatch.setattr(scripts, "load_script", load)
