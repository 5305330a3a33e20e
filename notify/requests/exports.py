"""The methods that an object exports, and the capabilities it declares."""

import inspect
from collections.abc import Callable, Collection, Mapping, Set
from functools import partialmethod, singledispatchmethod
from types import MappingProxyType
from typing import Any, Final

from notify.errors import InvalidServiceError

__all__ = ["capabilities_of", "exported_methods"]

BINDING: Final = (classmethod, staticmethod, partialmethod, singledispatchmethod)
"""Kinds of class members that become a method when they are read from an object, and that need not be callable themselves."""


def exported_methods(exports: object) -> Mapping[str, Callable[..., Any]]:
    """Return the public methods of an object by name, as its class defines or inherits them; none if there is no object.

    Attributes (even callable ones), properties, nested classes and names that begin with an underscore are not exported.

    Raises:
        InvalidServiceError: ``exports`` is a class, has no public method, or has one that is asynchronous.
    """
    if exports is None:
        return MappingProxyType({})
    if isinstance(exports, type):
        raise InvalidServiceError(f"exports is the class {exports.__name__}: give an object of it, {exports.__name__}()")
    methods = {name: getattr(exports, name) for name in dir(type(exports)) if _is_exported(type(exports), name)}
    if not methods:
        raise InvalidServiceError(f"exports is {exports!r}, which has no public method: give an object whose class defines one")
    asynchronous = [name for name, method in methods.items() if inspect.iscoroutinefunction(method)]
    if asynchronous:
        raise InvalidServiceError(
            f"exports is {exports!r}, whose methods {', '.join(asynchronous)} are asynchronous: only plain methods can be exported"
        )
    return MappingProxyType(methods)


def capabilities_of(provides: Collection[str] | object) -> frozenset[str]:
    """Return the capabilities that a service declares.

    Args:
        provides: a name, or a set, list or tuple of names; any other object declares the names of its public callables.
    """
    if isinstance(provides, str):
        return frozenset({provides})
    if isinstance(provides, Set | list | tuple):
        return frozenset(provides)
    # getattr_static, because a property must not run when a service registers.
    members = ((name, inspect.getattr_static(provides, name, None)) for name in dir(provides) if not name.startswith("_"))
    return frozenset(name for name, member in members if callable(member) or isinstance(member, classmethod))


def _is_exported(cls: type, name: str) -> bool:
    # getattr_static, because a property must not run when a service registers.
    member = inspect.getattr_static(cls, name, None)
    if name.startswith("_") or isinstance(member, type):
        return False
    return isinstance(member, BINDING) or (callable(member) and hasattr(type(member), "__get__"))
