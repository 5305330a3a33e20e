"""The decorator `job`, which marks functions as jobs; and `load_jobs`, which finds the marked functions of modules."""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from inspect import iscoroutinefunction, isfunction, signature
from types import ModuleType
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from workers.errors import JobDefinitionError, ModuleLoadError
from workers.jobs.requirements import Needs, Policy, Requirements
from workers.jobs.schedule import Overlap, Schedule, check_overlap, schedule_of
from workers.jobs.stop_ladder import StopLadder

__all__ = ["Definition", "JobFunctions", "definition_of", "job", "load_jobs", "load_module"]

JobFunctions: TypeAlias = Mapping[str, Callable[..., Any]]
"""Functions by their dotted path: the functions that a worker may run."""

F = TypeVar("F", bound=Callable[..., Any])

MOST_BESIDE: Final = 1000
"""The most calls of a function that run side by side in one process."""
_MARK: Final = "__notify_job__"


class Definition(msgspec.Struct, frozen=True):
    """The properties of a job, which the decorator `job` attaches to its function.

    Args:
        queue: the name of its queue.
        requirements: the services it requires, and what their loss does.
        stop: how a running job is stopped.
        schedule: when it is enqueued automatically; ``None`` for never.
        overlap: what happens if it is due while the one before it still waits.
        concurrency: how many calls may run side by side in one process.
    """

    queue: str
    requirements: Requirements = Requirements()
    stop: StopLadder = StopLadder()
    schedule: Schedule | None = None
    overlap: Overlap = "skip"
    concurrency: int = 1


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
    timezone: str | None = None,
    overlap: Overlap | None = None,
    concurrency: int = 1,
) -> Callable[[F], F]:
    """Mark a function as a job. Only marked functions can be enqueued, and a worker runs no others.

    Args:
        queue: the name of its queue.
        needs: the services it requires: the name of a service, ``notify.provides("capability")`` for any service that has the
            capability, or several of these.
        on_loss: what happens to the job when a required service is withdrawn: ``cancel``, ``hold``, ``drain`` or ``ignore``,
            see `Policy`.
        max_hold_s: how many seconds it may be held before it is cancelled; by default without limit.
        grace_s: a service that returns within this many seconds was not lost. Until then the job is not started; if it runs, it
            keeps running.
        stop: the steps before a running job is killed; by default none, its process is killed at once.
        cron: a cron line; a sixth field is for seconds. At these times the job is enqueued automatically, while a worker
            that has loaded it lives.
        every_s: instead of ``cron``: an interval in seconds.
        timezone: the zone of the cron line, such as ``Europe/Berlin``; by default UTC.
        overlap: what happens when it is due while the one before it still waits: ``skip`` (the default), ``queue`` or ``replace``, see
            `Overlap`.
        concurrency: for an ``async def``: how many calls of it one worker runs side by side, in one event loop; 1 to 1000. Jobs that
            block the loop delay the others in it.

    Raises:
        JobDefinitionError: the queue, a need, the policy, a time, the ladder, the schedule or the concurrency is invalid.
    """
    if not isinstance(stop, StopLadder | None):
        raise JobDefinitionError(f"stop is {stop!r}: give a workers.StopLadder, or leave it out")
    if not isinstance(queue, str) or not queue:
        raise JobDefinitionError(f'the queue of a job is {queue!r}: give the name of a queue, as in @job("default")')
    requirements = Requirements.of(needs, on_loss, max_hold_s=max_hold_s, grace_s=grace_s)
    schedule = schedule_of(cron, every_s, timezone)
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or not 1 <= concurrency <= MOST_BESIDE:
        raise JobDefinitionError(f"a concurrency of {concurrency!r}: give how many calls run side by side, 1 to {MOST_BESIDE}")
    definition = Definition(queue, requirements, stop or StopLadder(), schedule, check_overlap(overlap, schedule), concurrency)

    def mark(function: F) -> F:
        if not isfunction(function) or not function.__qualname__.isidentifier():
            name = getattr(function, "__qualname__", function)
            raise JobDefinitionError(f"{name!r} cannot be a job: define a function at the top of a module, where a worker finds it")
        if definition.schedule is not None and not _needs_no_arguments(function):
            raise JobDefinitionError(
                f"{function.__qualname__!r} has a schedule, so it is called without arguments: give its parameters defaults"
            )
        if definition.concurrency > 1 and not iscoroutinefunction(function):
            raise JobDefinitionError(
                f"{function.__qualname__!r} is no `async def`, so its calls cannot run side by side in one process: leave concurrency out, "
                "and start more workers"
            )
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
    """Return the definition that the decorator `job` attached to a function; ``None`` if the function is not marked."""
    found = getattr(function, _MARK, None)
    return found if isinstance(found, Definition) else None


def load_jobs(modules: Iterable[str]) -> JobFunctions:
    """Import modules and return the jobs that they define.

    Args:
        modules: dotted names.

    Raises:
        ModuleLoadError: a module cannot be imported, or defines no job; the message says which and why.
    """
    functions: dict[str, Callable[..., Any]] = {}
    for name in modules:
        module = load_module(name)
        found = {f"{name}.{key}": value for key, value in vars(module).items() if _is_job_of(name, key, value)}
        if not found:
            raise ModuleLoadError(f"{name!r} defines no job: mark functions with @workers.job(...)")
        functions.update(found)
    return functions


def load_module(name: str) -> ModuleType:
    """Import a module.

    Raises:
        ModuleLoadError: it cannot be imported; the message says why.
    """
    try:
        return import_module(name)
    except (Exception, SystemExit) as exc:  # a user's module may raise anything while it is imported
        remedy = f"give the name of the module, {dotted!r}" if (dotted := _name_of_file(name)) else "is it installed, or on PYTHONPATH?"
        raise ModuleLoadError(f"cannot import {name!r} ({type(exc).__name__}: {exc}): {remedy}") from exc


def _name_of_file(given: object) -> str:
    """Return the dotted name for one that is the path of a file, or an empty text."""
    return given.removesuffix(".py").removeprefix("./").replace("/", ".") if isinstance(given, str) and given.endswith(".py") else ""


def _is_job_of(module: str, name: str, value: object) -> bool:
    """Return whether a member of a module is a job that the module defines. An imported job or an alias of a job is not."""
    return isfunction(value) and definition_of(value) is not None and (value.__module__, value.__qualname__) == (module, name)
