"""What an object stands for: its methods that others may call, and its capabilities."""

import inspect
from collections.abc import Callable, Collection, Mapping, Set
from functools import partialmethod, singledispatchmethod
from types import MappingProxyType
from typing import Any, Final

from notify.errors import InvalidServiceError

__all__ = ["capabilities_of", "exported_methods"]

BINDING: Final = (classmethod, staticmethod, partialmethod, singledispatchmethod)
"""What becomes a method when it is asked for, though not all of it can be called before."""


def exported_methods(exports: object) -> Mapping[str, Callable[..., Any]]:
    """Return the public methods of an object by name, as its class defines or inherits them.

    Only methods: no attribute, even one that could be called, no property, no class within, and nothing that begins with
    an underscore.

    Raises:
        InvalidServiceError: it is a class, has no such method, or one that is asynchronous.
    """
    if isinstance(exports, type):
        raise InvalidServiceError(f"exports is the class {exports.__name__}: give an object of it, {exports.__name__}()")
    methods = {name: getattr(exports, name) for name in dir(type(exports)) if _is_exported(type(exports), name)}
    if not methods:
        raise InvalidServiceError(f"exports is {exports!r}, which has no public method to call")
    waiting = [name for name, method in methods.items() if inspect.iscoroutinefunction(method)]
    if waiting:
        raise InvalidServiceError(f"{', '.join(waiting)} of {exports!r} is asynchronous: nobody would await it; export a plain method")
    return MappingProxyType(methods)


def capabilities_of(provides: Collection[str] | object) -> frozenset[str]:
    """Return the capabilities: the given names, or the public callables of any other object.

    Raises:
        InvalidServiceError: through `check_name`, for members that are no names.
    """
    if isinstance(provides, str):
        return frozenset({provides})
    if isinstance(provides, Set | list | tuple):
        return frozenset(provides)
    # Looked at, not asked for: a property must not run because somebody registers.
    members = ((name, inspect.getattr_static(provides, name, None)) for name in dir(provides) if not name.startswith("_"))
    return frozenset(name for name, member in members if callable(member) or isinstance(member, classmethod))


def _is_exported(cls: type, name: str) -> bool:
    # Looked at, not asked for: a property must not run because somebody registers.
    member = inspect.getattr_static(cls, name, None)
    if name.startswith("_") or isinstance(member, type):
        return False
    return isinstance(member, BINDING) or (callable(member) and hasattr(type(member), "__get__"))
