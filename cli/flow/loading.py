"""Loads a flow from a file or a module that a command names."""

import importlib.util
import inspect
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec

from cli.options import Options
from notify import Bus, FlowError, FlowFileError, NotifyError
from notify.flows import Flow, FlowProgram
from notify.flows.files import FlowFile, read_flow_file
from notify.server import open_client

__all__ = ["Loaded", "connecting", "load", "unconnected"]

NAME: Final = "flow"
"""What a module calls its flow, unless the command says otherwise."""
UNNAMED: Final = "flow"
"""The name of a flow that was made without one."""
NOWHERE: Final = "redis://localhost:6379/0"


class Loaded:
    """A flow that was loaded.

    Args:
        flow: the flow.
        program: the program that runs it as a service, or ``None``.
        file: the TOML file that it comes from, or ``None``.
    """

    def __init__(self, flow: Flow, program: FlowProgram | None = None, file: FlowFile | None = None) -> None:
        self.flow, self.program, self._file = flow, program, file

    def failed(self, problem: NotifyError) -> NotifyError:
        """Return the error for a flow that could not start; of a TOML file it has the line."""
        return self._file.not_opened(problem) if self._file is not None and isinstance(problem, FlowError) else problem


def load(given: str, bus: Callable[[], Bus], show: Callable[[Any], object], *, to_run: bool = True) -> Loaded:
    """Load a flow.

    Args:
        given: a TOML file, a Python file, or the name of a module; ``:name`` behind a file or module of Python names the flow there.
        bus: returns the bus; called if the flow needs one.
        show: called with each item that a node of the kind ``print`` takes.
        to_run: whether the flow will be run: then the program of a TOML file is made.

    Raises:
        FlowFileError: it describes no flow.
    """
    if "\0" in given:
        raise FlowFileError(f"{given} is no path: it holds a null byte")
    path, _, name = given.partition(":") if not Path(given).exists() else (given, "", "")
    if path.endswith(".toml"):
        file = read_flow_file(Path(path), bus=bus, show=show)
        return Loaded(file.flow, file.program() if to_run and file.service is not None else None, file)
    made = _made(path, getattr(_module(path), name or NAME, None), name or NAME, bus)
    if isinstance(made, FlowProgram):
        return Loaded(made.flow, made)
    if isinstance(made, Flow):
        if made.name == UNNAMED:
            made.name = name if name not in ("", NAME) else Path(path).stem if path.endswith(".py") else path.rpartition(".")[2]
        return Loaded(made)
    raise FlowFileError(
        f"{path}: {name or NAME!r} is of the type {type(made).__name__}: define a Flow, or a function of the bus that returns one"
    )


@contextmanager
def connecting(chosen: Options, *, name: str) -> Iterator[Callable[[], Bus]]:
    """Yield a function that returns the bus; it connects in its first call. The end of the block closes the bus."""
    buses: list[Bus] = []
    with ExitStack() as stack:

        def bus() -> Bus:
            if not buses:
                buses.append(stack.enter_context(chosen.connect(name=name)))
            return buses[0]

        yield bus


@contextmanager
def unconnected(chosen: Options, *, name: str) -> Iterator[Callable[[], Bus]]:
    """Yield a function that returns a bus without a connection: flows can be made with it, and not run."""
    settings = msgspec.structs.replace(chosen.settings, url=chosen.settings.url or NOWHERE)
    with Bus(open_client(settings, name=name), name=name) as bus:
        logging.disable(logging.WARNING)  # a service that is made looks for the server in the background
        try:
            yield lambda: bus
        finally:
            logging.disable(logging.NOTSET)


def _module(path: str) -> ModuleType:
    """Import a module, by the path of its file or by its name."""
    is_file = path.endswith(".py") or os.sep in path
    folder = str(Path(path).absolute().parent) if is_file else os.getcwd()
    if folder not in sys.path:
        sys.path.append(folder)
    if is_file and not Path(path).is_file():
        raise FlowFileError(f"{path} cannot be read: there is no such file")
    try:
        if not is_file:
            return importlib.import_module(path)
        spec = importlib.util.spec_from_file_location(Path(path).stem, path)
        if spec is None or spec.loader is None:
            raise FlowFileError(f"{path} is neither TOML nor Python: give a file whose name ends with .toml or .py")
        module = sys.modules[Path(path).stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except FlowFileError:
        raise
    except Exception as exc:
        raise _problem(path, exc) from exc
    return module


def _made(path: str, found: Any, name: str, bus: Callable[[], Bus]) -> Any:
    """Return the flow that a module defines, or that its function returns."""
    if found is None:
        raise FlowFileError(f"{path} defines no {name!r}: define a flow of that name, or give {path}:NAME")
    if isinstance(found, Flow | FlowProgram) or not callable(found):
        return found
    try:
        return found(bus()) if inspect.signature(found).parameters else found()
    except NotifyError:
        raise
    except Exception as exc:
        raise _problem(path, exc) from exc


def _problem(path: str, error: Exception) -> FlowFileError:
    """Return the error for one that Python code of the user raised, with the line in that file."""
    if isinstance(error, SyntaxError):
        return FlowFileError(f"{error.filename}:{error.lineno}: {error.msg}")
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(path)]
    where = f"{path}:{lines[-1]}" if lines else path
    return FlowFileError(f"{where}: {type(error).__name__}: {error}")
