"""The command line of a process that runs a module of ours, whatever lies in the current folder."""

import sys
from pathlib import Path
from typing import Final

__all__ = ["own_command"]

LAUNCHER: Final = Path(__file__).parent.parent.parent / "notify_workers.py"
"""Loads our packages from its own folder, and then runs the module that is named after it."""


def own_command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs one of our modules in a process of its own.

    With ``-P`` the current folder is not searched for modules: a ``redis.py`` there would be taken for the library.

    Args:
        module: the dotted name of the module, or of a package with a ``__main__``.
        arguments: the arguments of the process.
    """
    return [sys.executable, "-P", str(LAUNCHER), module, *arguments]
