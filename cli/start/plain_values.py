"""Reads plain values of options: Typer imports Pydantic for that, which takes longer than all else that a short command does.

Whatever is not plainly right, such as a number with letters or out of its range, is left to Typer, which says what is wrong with it.
"""

import re
from enum import Enum
from typing import Any, Final, get_args, get_origin

__all__ = ["read_plainly"]

WHOLE: Final = re.compile(r"[+-]?[0-9]{1,15}")
DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{0,15})?")


class _NotPlainError(Exception):
    """The value is left to Typer."""


def read_plainly(command: Any) -> None:
    """Have a command, and those of its group, read plain values without Pydantic. Does nothing with a Typer that works in another way.

    Args:
        command: the command as Typer runs it.
    """
    own = command.get_params

    def get_params(context: Any) -> Any:
        parameters = own(context)  # also --help, which Typer makes now
        for parameter in parameters:
            if getattr(parameter, "_runtime_param", parameter) is None and hasattr(parameter, "type_descriptor"):
                parameter._runtime_param = _PlainReader()
        return parameters

    command.get_params = get_params
    for each in getattr(command, "commands", {}).values():
        read_plainly(each)


class _PlainReader:
    """What Typer asks for the value of a parameter, in place of the object that it would make."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the value of a parameter from what stands on the command line, or from its default."""
        takes_many = param.multiple or param.nargs == -1
        if value is None:
            return () if takes_many else None
        try:
            return _read(value, param.type_descriptor.annotation, param.type_descriptor.parameter_info)
        except _NotPlainError:
            param._runtime_param = None  # Typer makes its own
            return param.get_runtime_param().coerce(value, param=param, ctx=ctx)


def _read(value: Any, kind: Any, info: Any) -> Any:
    if get_origin(kind) is list and isinstance(value, list | tuple):
        return [_read(each, get_args(kind)[0], info) for each in value]
    if info.parser is not None or not isinstance(kind, type):
        raise _NotPlainError
    if issubclass(kind, Enum):
        return _read_choice(value, kind, is_exact=info.case_sensitive)
    if kind in (str, bool) and isinstance(value, kind):
        return value
    if kind in (int, float) and not info.clamp:
        number = _read_number(value, kind)
        if (info.min is None or number >= info.min) and (info.max is None or number <= info.max):
            return number
    raise _NotPlainError


def _read_choice(value: Any, kind: type[Enum], *, is_exact: bool) -> Enum:
    for each in kind:
        if value in (each, each.value) or (not is_exact and str(value).lower() == str(each.value).lower()):
            return each
    raise _NotPlainError


def _read_number(value: Any, kind: type) -> Any:
    if type(value) in (int, kind):
        return kind(value)
    if isinstance(value, str) and (WHOLE if kind is int else DECIMAL).fullmatch(value):
        return kind(value)
    raise _NotPlainError
