"""The entry point of ``notify``, and of every process that Notify starts.

The names ``notify``, ``workers`` and ``cli`` are common words. A file of that name in the current folder, or on ``PYTHONPATH``, must
not be taken for a package of ours: they are always loaded from the folder of this file.
In these processes redis-py and RQ are imported without the parts that only other programs need: a fifth of a worker's memory.
Only names that every Python has loaded already are imported before that, and before Ctrl-C ends the process without a traceback.
"""

import _signal  # type: ignore[import-not-found]  # the C module under signal: signal itself has more to import
import os
import sys

# First of all: an interrupt during the imports below is no traceback. Nothing is open yet, so there is nothing to close.
_signal.signal(_signal.SIGINT, lambda *_: os._exit(130))

from importlib import import_module  # noqa: E402  # see above
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader  # noqa: E402  # see above
from runpy import run_module  # noqa: E402  # see above
from types import ModuleType  # noqa: E402  # see above

__all__ = ["main"]

PACKAGES = ("notify", "workers", "cli", "notify_workers")
ASYNC_RECORDER = "redis.asyncio.observability.recorder"
METADATA = "importlib.metadata"
HTTP = "urllib.request"
FOLDER = os.path.dirname(os.path.abspath(__file__))


class _OwnPackages:
    """Finds our packages in the folder of this file, and nowhere else. All other modules are found as usual."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [FOLDER]) if name in PACKAGES else None


class _Lean:
    """Finds redis-py, and a module of RQ, for `_LeanLoader`."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name not in ("redis", "rq.webhook"):
            return None
        spec = PathFinder.find_spec(name, path)  # type: ignore[arg-type]  # None, or the folders of a package
        if spec is None or type(spec.loader) is not SourceFileLoader:
            return None
        spec.loader = _LeanLoader(name, spec.loader.path)
        return spec


class _LeanLoader(SourceFileLoader):
    """Imports redis-py without its asyncio half, OpenTelemetry and the metadata of packages, and RQ without ``urllib.request``.

    Each is imported when it is first used. If that fails, because another version uses more of them, they are imported as usual.
    """

    def exec_module(self, module: ModuleType) -> None:
        """Run the code of a module; that of redis-py imports nearly all of its modules."""
        stand_ins = _for_redis() if module.__name__ == "redis" else _for_webhooks()
        added = {name: each for name, each in stand_ins.items() if name not in sys.modules}
        before = dict(vars(module))
        sys.modules.update(added)  # type: ignore[arg-type]  # None: the import fails, as if it was not installed
        try:
            super().exec_module(module)
            is_lean = True
        except Exception:  # whatever comes of the use of a stand-in; a fault of the module itself comes again below
            is_lean = False
        finally:
            for name in added:
                sys.modules.pop(name, None)
        if is_lean:
            _find_later(module, added)
            return
        for name in [name for name in sys.modules if name.startswith(f"{module.__name__}.")]:
            del sys.modules[name]
        vars(module).clear()
        vars(module).update(before)
        super().exec_module(module)


class _StandIn(ModuleType):
    """Stands in for a module that is imported when something in it is first used.

    Args:
        name: the name of the module.
        given: what a module takes from it when it is imported.
    """

    def __init__(self, name: str, **given: object) -> None:
        super().__init__(name)
        vars(self).update(given)

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        module = import_module(self.__name__)
        if module is self:
            raise ImportError(f"{name} is used too early")
        return getattr(module, name)


def _find_later(module: ModuleType, left_out: dict[str, ModuleType | None]) -> None:
    """Let redis-py find what was left out, when a program uses it."""
    if "redis.asyncio" in left_out and vars(module).pop("asyncio", None) is not None:
        module.__getattr__ = _import_asyncio  # type: ignore[method-assign]  # as a function of that name in the module
    metrics = sys.modules.get("redis.observability.metrics")
    if metrics is not None and "opentelemetry.metrics" in left_out:
        vars(metrics)["OTEL_AVAILABLE"] = True  # a program that turns these metrics on imports it, and is told if it is not installed


def _for_redis() -> dict[str, ModuleType | None]:
    return {
        "redis.asyncio": _StandIn("redis.asyncio", __path__=[]),
        ASYNC_RECORDER: _StandIn(ASYNC_RECORDER, record_streaming_lag_from_response=_record_streaming_lag),
        METADATA: _StandIn(METADATA, version=_version),
        "opentelemetry.metrics": None,
        "opentelemetry.sdk.metrics": None,
    }


def _for_webhooks() -> dict[str, ModuleType | None]:
    return {HTTP: _StandIn(HTTP, Request=_make_request, urlopen=_open_url)}


async def _record_streaming_lag(*args: object, **options: object) -> None:
    await import_module(ASYNC_RECORDER).record_streaming_lag_from_response(*args, **options)


def _make_request(*args: object, **options: object) -> object:
    return import_module(HTTP).Request(*args, **options)


def _open_url(*args: object, **options: object) -> object:
    return import_module(HTTP).urlopen(*args, **options)


def _version(name: str) -> str:
    """Return the version of a package: of redis-py, which tells the server its own, without a search for that in its metadata."""
    found: str = import_module("redis").__version__ if name == "redis" else import_module(METADATA).version(name)
    return found


def _import_asyncio(name: str) -> ModuleType:
    """Find ``redis.asyncio`` for a program that has imported ``redis`` only."""
    if name != "asyncio":
        raise AttributeError(f"module 'redis' has no attribute {name!r}")
    return import_module("redis.asyncio")


def main() -> None:
    """Run the command line."""
    _secure()
    # ``python -m`` puts the current folder in front, where a `typer.py` of the user would be found first. ``notify`` does not.
    if not sys.flags.safe_path and sys.path[:1] and os.path.abspath(sys.path[0]) == os.getcwd():
        del sys.path[0]
    import_module("cli.app").main()


def _secure() -> None:
    if _OwnPackages not in sys.meta_path:
        sys.meta_path.insert(0, _OwnPackages)
        # Behind the finders of tools that watch imports, such as tracers, which ask those behind them.
        sys.meta_path.insert(sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else len(sys.meta_path), _Lean)


if __name__ == "__main__":
    # As `notify.process.own_command` starts it: python -P notify_workers.py MODULE ARGUMENT...
    _secure()
    del sys.argv[0]
    run_module(sys.argv[0], run_name="__main__", alter_sys=True)
