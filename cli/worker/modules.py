"""The modules whose jobs a command may run or enqueue: imported from the current folder too, but never in place of another module."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from workers import ModuleLoadError
from workers.jobs import JobFunctions, definition_of, load_jobs

__all__ = ["BUILT_IN_MODULES", "BUILT_IN_QUEUES", "importing", "load_modules", "modules_to_load", "queues_of"]

BUILT_IN_MODULES: Final = ("workers.storage", "workers.temperature")
BUILT_IN_QUEUES: Final = ("temperature", "storage")
OWN_PACKAGES: Final = frozenset({"notify", "workers", "cli"})


def modules_to_load(added: list[str] | None) -> tuple[str, ...]:
    """Return the built-in modules and the added ones. All are imported here once, so that a mistake is reported at once.

    Raises:
        ModuleLoadError: as `load_modules` does.
    """
    load_jobs(BUILT_IN_MODULES)  # without a look at the current folder, which may be a checkout of Notify
    load_modules(added or ())
    return (*BUILT_IN_MODULES, *(added or ()))


def queues_of(modules: Iterable[str]) -> tuple[str, ...]:
    """Return the queues of the jobs that modules define, in the order of the definitions."""
    definitions = [definition_of(function) for function in load_jobs(modules).values()]
    return tuple(dict.fromkeys(definition.queue for definition in definitions if definition is not None))


def load_modules(names: Iterable[str]) -> JobFunctions:
    """Import modules and return the jobs that they define. The current folder is searched last.

    Raises:
        ModuleLoadError: a module cannot be imported or defines no job, or a file in the current folder has the name of a module that
            is loaded instead.
    """
    functions: dict[str, Callable[..., Any]] = {}
    for name in names:
        with importing(name):
            functions.update(load_jobs([name]))
    return functions


@contextmanager
def importing(name: str) -> Iterator[None]:
    """Import a module within the block: the current folder is searched last, and an error names the file there that was not taken.

    Raises:
        ModuleLoadError: a file in the current folder has the name of a module that is loaded instead.
    """
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        yield
    except ModuleLoadError as exc:
        missing = exc.__cause__.name if isinstance(exc.__cause__, ImportError) else None
        _check_name(name, wanted=missing or name)
        raise
    _check_name(name, wanted=name)


def _check_name(module: str, *, wanted: str) -> None:
    """Raise an error if a file in the current folder has a name that stands for another module.

    Args:
        module: the module that was to be loaded.
        wanted: the module, or one that it imports.
    """
    top = wanted.partition(".")[0]
    found = next((path for path in _files_of(wanted) if path.exists()), None)
    loaded = getattr(sys.modules.get(top), "__file__", None)
    if found is None or loaded is None or any(path.exists() and path.samefile(loaded) for path in _files_of(top)):
        return
    importing = "" if wanted == module else f", which {module!r} imports,"
    reason = "is a package of Notify" if top in OWN_PACKAGES else f"is loaded from {loaded}"
    raise ModuleLoadError(f"{wanted!r}{importing} cannot be {found}, because {top!r} {reason}: give the file or folder another name")


def _files_of(name: str) -> tuple[Path, Path]:
    """Return the two files in the current folder that a module of that name would be: a package, or a plain module."""
    path = Path(os.getcwd(), *name.split("."))
    return path / "__init__.py", path.with_suffix(".py")
