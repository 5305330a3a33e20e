"""Signatures: give the arguments and the result of a function back as its annotations say."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, get_type_hints

from notify.errors import ContentsError
from notify.values.annotation import Annotation

__all__ = ["Signature"]


class _Parameter:
    """A parameter whose annotation says more than "any value".

    Args:
        name: its name.
        annotation: its annotation.
        default: its default; ``None`` as the default is a value as well, whatever the annotation says.
    """

    def __init__(self, name: str, annotation: Annotation, default: object) -> None:
        self.name = name
        self.annotation = annotation
        self.kinds = annotation.kinds | {type(None)} if default is None else annotation.kinds


class Signature:
    """The annotations of a function.

    Those that cannot be resolved, such as a class that is imported for type checkers only, count as no annotations.

    Args:
        function: a function or method, or a partial call of one.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = getattr(function, "__qualname__", repr(function))
        self._positional: list[_Parameter | None] = []
        self._named: dict[str, _Parameter | None] = {}
        self._more_positional: _Parameter | None = None
        self._more_named: _Parameter | None = None
        self._says_something = False
        self._result: Annotation | None = None
        try:
            signature = inspect.signature(function)
        except Exception:  # a function that is not written in Python, or annotations that are evaluated late and fail
            return
        names = _globals_of(function)
        self._result = _annotation(signature.return_annotation, signature.empty, names)
        for parameter in signature.parameters.values():
            self._add(parameter, _annotation(parameter.annotation, parameter.empty, names))

    def arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """Return arguments that were read from JSON as the annotations say. How many there are is left to the call itself.

        Raises:
            ContentsError: an argument does not fit its annotation; the message names the parameter.
        """
        if self.accepts(args, kwargs):
            return args, kwargs
        converted = [self._converted(self._at(index), value) for index, value in enumerate(args)]
        return converted, {name: self._converted(self._named.get(name, self._more_named), value) for name, value in kwargs.items()}

    def accepts(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        """Return whether the arguments fit the annotations as they are, so that none has to be converted."""
        if not self._says_something:
            return True
        for parameter, value in zip(self._positional, args, strict=False):
            if parameter is not None and type(value) not in parameter.kinds:
                return False
        more = self._more_positional
        if more is not None and any(type(value) not in more.kinds for value in args[len(self._positional) :]):
            return False
        for name, value in kwargs.items():
            parameter = self._named.get(name, self._more_named)
            if parameter is not None and type(value) not in parameter.kinds:
                return False
        return True

    def result(self, value: Any) -> Any:
        """Return a result that was read from JSON as the annotation says; one that does not fit it stays as it is."""
        try:
            return value if self._result is None else self._result.convert(value, what=f"the result of {self._function}")
        except ContentsError:
            return value  # the call is over: an annotation that is wrong must not hide its result

    def _at(self, index: int) -> _Parameter | None:
        return self._positional[index] if index < len(self._positional) else self._more_positional

    def _converted(self, parameter: _Parameter | None, value: Any) -> Any:
        if parameter is None or type(value) in parameter.kinds:
            return value
        return parameter.annotation.convert(value, what=f"the argument {parameter.name!r} of {self._function}")

    def _add(self, parameter: inspect.Parameter, annotation: Annotation | None) -> None:
        found = None if annotation is None else _Parameter(parameter.name, annotation, parameter.default)
        self._says_something = self._says_something or found is not None
        if parameter.kind is parameter.VAR_POSITIONAL:
            self._more_positional = found
        elif parameter.kind is parameter.VAR_KEYWORD:
            self._more_named = found
        else:
            if parameter.kind is not parameter.KEYWORD_ONLY:
                self._positional.append(found)
            if parameter.kind is not parameter.POSITIONAL_ONLY:
                self._named[parameter.name] = found


def _annotation(annotation: Any, empty: Any, names: dict[str, Any]) -> Annotation | None:
    """Return an annotation, which may be text; ``None`` if there is none, it says nothing, or it cannot be resolved."""
    if annotation is empty:
        return None
    try:
        # One at a time: an annotation that cannot be resolved must not hide the others.
        hints = get_type_hints(SimpleNamespace(__annotations__={"it": annotation}), names, include_extras=True)
    except Exception:  # whatever the text of an annotation raises
        return None
    return Annotation.of(hints["it"])


def _globals_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the names that the annotations of a function may use."""
    found: Any = function
    while isinstance(found, partial):
        found = found.func
    found = inspect.unwrap(getattr(found, "__func__", found))
    return getattr(found, "__globals__", {})
