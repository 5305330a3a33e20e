"""Annotations: give a value that was read from JSON back as the type that it was annotated with."""

from functools import reduce
from operator import or_
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import inspect

from notify.errors import ContentsError
from notify.values.encoder import json_text

__all__ = ["Annotation"]

SHOWN: Final = 60
"""An error shows at most this many characters of a value."""

Kinds: TypeAlias = frozenset[type]


class Annotation(msgspec.Struct, frozen=True):
    """An annotation that says more than "any value". Made by `Annotation.of`.

    Args:
        type: the annotated type.
        kinds: values of these types are left as they are.
        converts: whether other values are converted; if not, they do not fit.
    """

    type: Any
    kinds: Kinds
    converts: bool

    @classmethod
    def of(cls, annotation: Any) -> "Annotation | None":
        """Return the annotation for a type; ``None`` if it says nothing, or msgspec cannot make values of it: then values stay as they are.

        A type that consists of types of JSON only, such as ``float``, ``list[int]`` or ``dict[str, Any] | None``, converts nothing:
        only the outermost type is compared. An integer is a ``float`` and stays an integer.
        """
        try:
            described = inspect.type_info(annotation)
            kinds = _plain_kinds(described, set())
            if kinds is not None:
                return cls(annotation, kinds, False) if kinds else None
            return None if _has_foreign(described, set()) else cls(annotation, frozenset(), True)
        except Exception:  # a type that msgspec cannot describe, or whose own annotations cannot be resolved
            return None

    def convert(self, value: Any, *, what: str) -> Any:
        """Return a value as the annotated type. ``what`` is the name of the value in the error.

        Raises:
            ContentsError: the value does not fit the annotation.
        """
        if type(value) in self.kinds:
            return value
        if not self.converts:
            raise self._misfit(value, what, "")
        try:
            return msgspec.convert(value, self.type, str_keys=True)
        except Exception as exc:  # a ValidationError, or any error that the annotated class raises when it is made
            raise self._misfit(value, what, f" ({exc})") from exc

    def _misfit(self, value: Any, what: str, problem: str) -> ContentsError:
        text = json_text(value)
        shown = text[:SHOWN] + "…" * (len(text) > SHOWN)
        name = self.type.__name__ if isinstance(self.type, type) else str(self.type).replace("typing.", "")
        return ContentsError(
            f"{what} is {shown}, which does not fit its annotation {name}{problem}: give a value that fits, or change the annotation"
        )


_SCALARS: Final[dict[type[inspect.Type], Kinds]] = {
    inspect.BoolType: frozenset({bool}),
    inspect.IntType: frozenset({int, bool}),
    inspect.FloatType: frozenset({float, int, bool}),
    inspect.StrType: frozenset({str}),
    inspect.NoneType: frozenset({type(None)}),
}


def _plain_kinds(described: inspect.Type, seen: set[int]) -> Kinds | None:
    """Return the types of the values of a type of JSON; empty if any value is one. ``None`` if it is no type of JSON."""
    if isinstance(described, inspect.AnyType) or id(described) in seen:
        return frozenset()
    seen = seen | {id(described)}
    if isinstance(described, inspect.CustomType):
        return frozenset() if described.cls is object else None
    if isinstance(described, inspect.UnionType):
        kinds = [_plain_kinds(member, seen) for member in described.types]
        return None if None in kinds else frozenset() if frozenset() in kinds else reduce(or_, kinds)
    if isinstance(described, inspect.ListType):
        is_list = described == inspect.ListType(described.item_type) and _plain_kinds(described.item_type, seen) is not None
        return frozenset({list}) if is_list else None
    if isinstance(described, inspect.DictType):
        parts = (described.key_type, described.value_type)
        is_dict = described == inspect.DictType(*parts) and parts[0] in (inspect.StrType(), inspect.AnyType())
        return frozenset({dict}) if is_dict and _plain_kinds(parts[1], seen) is not None else None
    if isinstance(described, inspect.TypedDictType):
        return frozenset({dict}) if all(_plain_kinds(field.type, seen) is not None for field in described.fields) else None
    kinds_of_scalar = _SCALARS.get(type(described))
    has_limits = kinds_of_scalar is not None and described != type(described)()  # such as a greatest length
    return None if has_limits else kinds_of_scalar


def _has_foreign(described: Any, seen: set[int]) -> bool:
    """Return whether a part of a type is a class that msgspec does not know."""
    if id(described) in seen:
        return False
    seen.add(id(described))
    if isinstance(described, inspect.CustomType):
        return described.cls is not object
    if isinstance(described, tuple):
        return any(_has_foreign(part, seen) for part in described)
    if isinstance(described, inspect.Type | inspect.Field):
        return any(_has_foreign(getattr(described, name), seen) for name in described.__struct_fields__)
    return False
