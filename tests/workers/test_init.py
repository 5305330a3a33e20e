"""The public face of each module."""

from importlib import import_module
from pkgutil import iter_modules

import pytest

import workers

pytestmark = pytest.mark.any_server


MODULES = sorted(f"workers.{module.name}" for module in iter_modules(workers.__path__) if module.name != "__main__")


@pytest.mark.parametrize("name", ["workers", *MODULES])
def test_the_exports_of_a_module_are_sorted_and_exist(name: str) -> None:
    module = import_module(name)
    assert module.__all__ == sorted(module.__all__, key=lambda exported: (not exported.isupper(), not exported[0].isupper(), exported))
    assert [exported for exported in module.__all__ if not hasattr(module, exported)] == []
