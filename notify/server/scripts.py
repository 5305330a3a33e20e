"""Loads Lua scripts from the ``lua`` folders of the packages, and runs them on the server.

Each script lies beside the Python code that calls it, and has one typed method there. The first lines of a script bind its KEYS and ARGV to
names, in the order in which the method passes them; a test compares the two. A part (``lua/parts``) is only included by scripts.
"""

import hashlib
import re
import string
from collections.abc import Sequence
from functools import cache
from pkgutil import get_data  # importlib.resources imports a megabyte
from typing import Any, Final

import redis

from notify.errors import NotifyError
from notify.server.client import Client

__all__ = ["ScriptRunner", "load_script", "quoted"]

_INCLUDE: Final = re.compile(r"^-- include: (\S+)\n", re.MULTILINE)


@cache
def load_script(package: str, name: str, prelude: str = "") -> tuple[str, str]:
    """Return the source of ``<package>/lua/<name>.lua`` with all included parts, and its SHA-1.

    A line ``-- include: notify.events.append`` includes the part ``notify/events/lua/parts/append.lua``. The parts come before the
    script, each once. A part comes after the parts that it includes.

    Args:
        package: dotted name of the folder whose ``lua`` holds the script.
        name: name of the file without ``.lua``.
        prelude: Lua code to put before everything else.

    Raises:
        NotifyError: an included part is missing, or includes itself.
    """
    parts: dict[str, str] = {}
    script = _include(_read(package, f"lua/{name}.lua"), parts, (f"script {package}.{name}",))
    source = prelude + "\n".join([*parts.values(), script])
    return source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


def _include(source: str, parts: dict[str, str], path: tuple[str, ...]) -> str:
    """Add each part that a source includes to ``parts``, and return the source without its include lines.

    ``path`` holds the names of the script, of the parts that lead from there to the source, and of the source.
    """
    for part in _INCLUDE.findall(source):
        if part in path:
            raise NotifyError(f"Lua parts include each other in a circle: {' -> '.join([*path, part])}; remove one of these includes")
        if part not in parts:
            text = _include(_read_part(part, path[-1]), parts, (*path, part))
            parts[part] = text  # after the parts that it includes
    return _INCLUDE.sub("", source)


def _read_part(part: str, user: str) -> str:
    """Return the source of a part; ``user`` is the script or part that includes it, for the error."""
    folder, _, name = part.rpartition(".")
    try:
        return _read(folder, f"lua/parts/{name}.lua")
    except (ModuleNotFoundError, FileNotFoundError, ValueError) as exc:
        place = f"{folder.replace('.', '/')}/lua/parts/{name}.lua"
        raise NotifyError(f"{user} includes the Lua part {part!r}, and there is no file {place}: correct the include line") from exc


def _read(package: str, path: str) -> str:
    data = get_data(package, path)
    if data is None:
        raise FileNotFoundError(f"{package} has no files")
    return data.decode()


class ScriptRunner:
    """Runs the Lua scripts of one folder. If the server does not know a script, as after a restart, its source is sent again.

    Args:
        client: the server to run the scripts on.
        package: dotted name of the folder whose ``lua`` holds the scripts.
        prelude: Lua code to put before each script.
    """

    def __init__(self, client: Client, package: str, *, prelude: str = "") -> None:
        self.client = client
        self._prelude = prelude
        self.keys = client.own_keys
        self._package = package

    def run(self, name: str, keys: Sequence[str], args: Sequence[str | bytes | int], *, action: str, timeout_s: float | None = None) -> Any:
        """Run a script.

        Args:
            name: name of the file without ``.lua``.
            keys: the KEYS of the script.
            args: the ARGV of the script.
            action: what the script does, for error messages, for example ``listing the topics``.
            timeout_s: seconds to wait for the answer; by default as in the settings.

        Raises:
            ServerUnreachableError: no answer. The script may have run.
            ServerRefusedError: the server answered with an error.
        """
        source, digest = load_script(self._package, name, self._prelude)
        client = self.client
        try:
            try:
                return client.exchange("EVALSHA", digest, len(keys), *keys, *args, timeout_s=timeout_s)
            except redis.exceptions.NoScriptError:
                return client.exchange("EVAL", source, len(keys), *keys, *args, timeout_s=timeout_s)
        except (redis.RedisError, OSError) as exc:
            raise client.translated(exc, action) from exc

    def source(self, name: str) -> str:
        """Return the source of a script, with prelude and included parts."""
        return load_script(self._package, name, self._prelude)[0]

    def digest(self, name: str) -> str:
        """Return the SHA-1 of a script, by which the server knows it."""
        return load_script(self._package, name, self._prelude)[1]

    def run_many(self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[str | bytes | int]]], *, action: str) -> list[Any]:
        """Run a script for each (KEYS, ARGV), in one round trip, and return the answers. Arguments and errors as for `run`."""
        source, digest = load_script(self._package, name, self._prelude)
        with self.client.translating(action), self.client.pipeline(transaction=False) as pipe:
            for keys, args in calls:
                pipe.evalsha(digest, len(keys), *keys, *args)
            answers: list[Any] = pipe.execute(raise_on_error=False)
            for index, (answer, (keys, args)) in enumerate(zip(answers, calls, strict=True)):
                if isinstance(answer, redis.exceptions.NoScriptError):
                    answers[index] = self.client.eval(source, len(keys), *keys, *args)
                elif isinstance(answer, redis.RedisError):
                    raise answer
        return answers


_PLAIN: Final = string.ascii_letters.encode() + string.digits.encode() + b":._- {}"


def quoted(text: str) -> str:
    """Return a text as a Lua literal; bytes that are not plain are escaped."""
    return '"' + "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03d}" for byte in text.encode()) + '"'
