"""Which methods of an object others may call."""

import inspect
from collections.abc import Callable, Mapping
from functools import partialmethod
from types import FunctionType, MappingProxyType
from typing import Any, Final

from notify.errors import InvalidServiceError

__all__ = ["exported_methods"]

METHODS: Final = (FunctionType, classmethod, staticmethod, partialmethod)


def exported_methods(exports: object) -> Mapping[str, Callable[..., Any]]:
    """Return the public methods of an object by name, as its class defines or inherits them.

    Only methods: no attribute, even one that could be called, no property, no class within, and nothing that begins with
    an underscore.

    Raises:
        InvalidServiceError: it is a class, or has no such method.
    """
    if isinstance(exports, type):
        raise InvalidServiceError(f"exports is the class {exports.__name__}: give an object of it, {exports.__name__}()")
    methods = {name: getattr(exports, name) for name in dir(type(exports)) if _is_exported(type(exports), name)}
    if not methods:
        raise InvalidServiceError(f"exports is {exports!r}, which has no public method to call")
    return MappingProxyType(methods)


def _is_exported(cls: type, name: str) -> bool:
    # Looked at, not asked for: a property must not run because somebody registers.
    return not name.startswith("_") and isinstance(inspect.getattr_static(cls, name, None), METHODS)
