"""A wrong clock of one host: what Python code in this process reads as the time is some seconds ahead of the machine's clock."""

import datetime
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

__all__ = ["set_ahead", "skewed"]

PACKAGES = ("rq", "notify", "workers", "cli")
_real_datetime, _real_time = datetime.datetime, time.time


class _AnyDatetime(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _real_datetime)


def _patches(ahead_s: float) -> list[Any]:
    """Patches of the clocks that the loaded modules of RQ and ours use."""
    ahead = datetime.timedelta(seconds=ahead_s)

    def skewed_time() -> float:
        return _real_time() + ahead_s

    class Skewed(_real_datetime, metaclass=_AnyDatetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return _real_datetime.now(tz) + ahead

    module = SimpleNamespace(**{**vars(datetime), "datetime": Skewed})
    patches = [mock.patch.object(time, "time", skewed_time)]
    for name, loaded in list(sys.modules.items()):
        if name.partition(".")[0] in PACKAGES:
            for attribute, value in list(vars(loaded).items()):
                if value is _real_datetime:
                    patches.append(mock.patch.object(loaded, attribute, Skewed))
                elif value is datetime:
                    patches.append(mock.patch.object(loaded, attribute, module))
    return patches


def set_ahead(ahead_s: float) -> None:
    """Set the clock of this process ahead for good; back if the number is negative. Call it when all modules are loaded."""
    for patch in _patches(ahead_s):
        patch.start()


@contextmanager
def skewed(ahead_s: float) -> Iterator[None]:
    """Set the clock of this process ahead in the block."""
    patches = _patches(ahead_s)
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()
