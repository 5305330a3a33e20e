"""The entry point of ``notify``, and of every process that Notify starts.

The names ``notify``, ``workers`` and ``cli`` are common words. A file of that name in the current folder, or on ``PYTHONPATH``, must
not be taken for a package of ours: they are always loaded from the folder of this file.
Only names that every Python has loaded already are imported before that, and before Ctrl-C ends the process without a traceback.
"""

import _signal  # type: ignore[import-not-found]  # the C module under signal: signal itself has more to import
import os
import sys

# First of all: an interrupt during the imports below is no traceback. Nothing is open yet, so there is nothing to close.
_signal.signal(_signal.SIGINT, lambda *_: os._exit(130))

from importlib import import_module  # noqa: E402  # see above
from importlib.machinery import ModuleSpec, PathFinder  # noqa: E402  # see above
from runpy import run_module  # noqa: E402  # see above

__all__ = ["main"]

PACKAGES = ("notify", "workers", "cli", "notify_workers")
FOLDER = os.path.dirname(os.path.abspath(__file__))


class _OwnPackages:
    """Finds our packages in the folder of this file, and nowhere else. All other modules are found as usual."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [FOLDER]) if name in PACKAGES else None


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


if __name__ == "__main__":
    # As `notify.process.own_command` starts it: python -P notify_workers.py MODULE ARGUMENT...
    _secure()
    del sys.argv[0]
    run_module(sys.argv[0], run_name="__main__", alter_sys=True)
