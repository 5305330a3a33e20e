"""Loads the ``.lua`` files beside this one, and runs them on the server."""

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

import redis

from notify.keys import Keys
from notify.server.client import Client

__all__ = ["ScriptRunner", "load_script"]

_INCLUDE: Final = re.compile(r"^-- include: (\w+)$", re.MULTILINE)


@cache
def load_script(package: str, name: str, prelude: str = "") -> tuple[str, str]:
    """Return the source of ``<package>/lua/<name>.lua``, after a prelude and the files it includes, and its SHA-1.

    What a first line ``-- include: part`` names lies beside it, or else in ``notify/lua``.
    """
    source = (files(package) / "lua" / f"{name}.lua").read_text()
    for part in reversed(_INCLUDE.findall(source)):
        beside = files(package) / "lua" / f"{part}.lua"
        source = (beside if beside.is_file() else files("notify") / "lua" / f"{part}.lua").read_text() + "\n" + source
    source = prelude + source
    return source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


class ScriptRunner:
    """Runs the scripts of a package; loads them when the server does not have them, also after a restart.

    Args:
        client: what they run on.
        package: whose they are.
        prelude: Lua that stands before each of them.
    """

    def __init__(self, client: Client, package: str, *, prelude: str = "") -> None:
        self.client = client
        self._prelude = prelude
        self.keys = Keys(client.settings.namespace)
        self._package = package

    def run(self, name: str, keys: Sequence[str], args: Sequence[str | bytes | int], *, action: str, timeout_s: float | None = None) -> Any:
        """Run a script.

        Args:
            name: the file's name without ``.lua``.
            keys: KEYS.
            args: ARGV.
            action: what is being done, for errors.
            timeout_s: for the answer, instead of that of the settings.

        Raises:
            ServerUnreachableError: no answer. The step may have happened.
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
        """The text of a script."""
        return load_script(self._package, name, self._prelude)[0]

    def run_many(self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[str | bytes | int]]], *, action: str) -> list[Any]:
        """Run a script once for each (KEYS, ARGV), in one round trip; otherwise as `run`."""
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
