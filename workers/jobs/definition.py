"""Marking functions as jobs, and loading the modules that hold them: the list of what a worker may run."""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from inspect import isfunction, signature
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from workers.errors import JobDefinitionError, ModuleLoadError
from workers.jobs.requirements import Needs, Policy, Requirements
from workers.jobs.schedule import Schedule, schedule_of
from workers.jobs.stop_ladder import StopLadder

__all__ = ["Definition", "JobFunctions", "definition_of", "job", "load_jobs"]

JobFunctions: TypeAlias = Mapping[str, Callable[..., Any]]
"""Functions by their dotted path: what a worker may run."""

F = TypeVar("F", bound=Callable[..., Any])

_MARK: Final = "__notify_job__"


class Definition(msgspec.Struct, frozen=True):
    """What `job` notes at a function: its queue, what it needs and what the loss of that does, and how it is stopped."""

    queue: str
    requirements: Requirements = Requirements()
    stop: StopLadder = StopLadder()
    rhythm: Schedule | None = None


def job(
    queue: str,
    *,
    needs: Needs = (),
    on_loss: Policy = "cancel",
    max_hold_s: float | None = None,
    grace_s: float = 0.0,
    stop: StopLadder | None = None,
    cron: str | None = None,
    every_s: float | None = None,
) -> Callable[[F], F]:
    """Mark a function as a job. Only marked functions can be enqueued, and only those are ever run by a worker.

    Args:
        queue: the queue it belongs on.
        needs: the service without which it makes no sense; or ``notify.provides("capability")``, any service that has it; or several.
        on_loss: what happens to it when one of them is withdrawn: ``cancel``, ``hold``, ``drain`` or ``ignore``, see `Policy`.
        max_hold_s: how many seconds it may be held before it is cancelled; by default however long it takes.
        grace_s: seconds in which what was lost may come back before a loss counts; it is not started meanwhile, a running one goes on.
        stop: what it is granted when it is stopped while it runs; by default nothing, its process is killed.
        cron: when it is enqueued by itself, while a worker has loaded it: a cron line, in UTC; a sixth field is for seconds.
        every_s: or every so many seconds.

    Raises:
        JobDefinitionError: the queue, a need, the policy, a time, the ladder or the rhythm cannot be.
    """
    if not isinstance(stop, StopLadder | None):
        raise JobDefinitionError(f"stop is a workers.StopLadder, not {stop!r}")
    if not isinstance(queue, str) or not queue:
        raise JobDefinitionError(f'the queue of a job is a name, not {queue!r}: write @job("default")')
    requirements = Requirements.of(needs, on_loss, max_hold_s=max_hold_s, grace_s=grace_s)
    definition = Definition(queue, requirements, stop or StopLadder(), schedule_of(cron, every_s))

    def mark(function: F) -> F:
        if not isfunction(function) or not function.__qualname__.isidentifier():
            name = getattr(function, "__qualname__", function)
            raise JobDefinitionError(f"{name!r} cannot be a job: define a function at the top of a module, where a worker finds it")
        if definition.rhythm is not None and not _needs_no_arguments(function):
            raise JobDefinitionError(f"{function.__qualname__!r} is called by the clock, which knows no arguments: give them defaults")
        setattr(function, _MARK, definition)
        return function

    return mark


def _needs_no_arguments(function: Callable[..., Any]) -> bool:
    try:
        signature(function).bind()
    except TypeError:
        return False
    return True


def definition_of(function: object) -> Definition | None:
    """Return what `job` noted at a function, ``None`` if it is not marked."""
    found = getattr(function, _MARK, None)
    return found if isinstance(found, Definition) else None


def load_jobs(modules: Iterable[str]) -> JobFunctions:
    """Import modules and return the jobs that they define.

    Args:
        modules: dotted names.

    Raises:
        ModuleLoadError: one cannot be imported, or defines no job; the message says which and why.
    """
    functions: dict[str, Callable[..., Any]] = {}
    for name in modules:
        try:
            module = import_module(name)
        except (Exception, SystemExit) as exc:  # whatever a user's module raises while it is imported
            raise ModuleLoadError(f"cannot import {name!r} ({type(exc).__name__}: {exc}): is it installed, or on PYTHONPATH?") from exc
        found = {f"{name}.{key}": value for key, value in vars(module).items() if _is_job_of(name, key, value)}
        if not found:
            raise ModuleLoadError(f"{name!r} defines no job: mark functions with @workers.job(...)")
        functions.update(found)
    return functions


def _is_job_of(module: str, name: str, value: object) -> bool:
    """Whether a module's member is a job that it defines: not one that it imported, nor a second name of one."""
    return isfunction(value) and definition_of(value) is not None and (value.__module__, value.__qualname__) == (module, name)
