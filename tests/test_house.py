"""The rules of the house: sizes of folders, files, classes and names, and the faces of folders."""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from inspect import getdoc, isclass, isfunction
from pathlib import Path
from pkgutil import iter_modules, walk_packages
from types import FunctionType, ModuleType

import pytest

from workers.rq import IS_RQ_3

PACKAGES = ("notify", "workers", "cli")
FOLDERS = sorted(
    found.name for package in PACKAGES for found in walk_packages(import_module(package).__path__, f"{package}.") if found.ispkg
)
OTHER_RQ = "workers.rq.v2" if IS_RQ_3 else "workers.rq.v3"
"""The adapter for the version of RQ that is not installed cannot be imported."""
MODULES = sorted(
    found.name
    for package in PACKAGES
    for found in walk_packages(import_module(package).__path__, f"{package}.")
    if not found.name.endswith("__main__") and found.name != OTHER_RQ
)
TESTS = Path(__file__).parent
MOST_ENTRIES = 20
MOST_LINES = 300
MOST_TEST_LINES = 400
MOST_LETTERS = 80
SLEEP = re.compile(r"\b(?:time|asyncio)\.sleep\((?!0\))")
SWALLOW = re.compile(r"\bsuppress\(")

KEYS = frozenset({"notify.keys.keys", "workers.rq_keys"})
"""A method of these is called by its key, and docs/data-model.md says what each key holds."""
METHODS = (FunctionType, property, cached_property, classmethod, staticmethod)
SILENT = """
__name__ = "module"
class Base:
    'Documented.'
    def inherited(self): 'So is this.'
class Silent(Base):
    def method(self): pass
    def inherited(self): pass
    def _private(self): pass
    @property
    def number(self): return 1
def function(): pass
"""

TOO_LONG_CLASSES: frozenset[str] = frozenset()
"""Classes that are still above the limit; each has to leave the list when it no longer is."""


def folder_of(package: str) -> Path:
    """The folder of a package as it is installed, which need not be the one beside the tests."""
    return Path(import_module(package).__file__ or "").parent


def files(package: str) -> list[Path]:
    return sorted(path for path in folder_of(package).rglob("*") if path.suffix in (".py", ".lua"))


def functions_of(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def class_lines() -> dict[tuple[str, str], int]:
    """The length of each class of ours, by the names of its module and itself."""
    lengths = {}
    for name in MODULES:
        module = import_module(name)
        for node in ast.parse(Path(module.__file__ or "").read_text()).body:
            if isinstance(node, ast.ClassDef):
                lengths[name, node.name] = (node.end_lineno or 0) - node.lineno + 1
    return lengths


def lengths_with_bases() -> dict[str, int]:
    """The length of each class together with its bases of ours."""
    own = class_lines()
    return {
        f"{module}.{name}": sum(own.get((base.__module__, base.__qualname__), 0) for base in getattr(import_module(module), name).__mro__)
        for module, name in own
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_at_most_20_entries(package: str) -> None:
    entries = [path.name for path in folder_of(package).iterdir() if path.name != "__pycache__"]
    assert len(entries) <= MOST_ENTRIES, sorted(entries)


@pytest.mark.parametrize("name", ["notify", "workers", *FOLDERS])
def test_a_face_says_what_lives_there(name: str) -> None:
    face = import_module(name)
    assert face.__all__
    least = 1 if "." not in name else 3  # what lives there, who calls it, what it never does
    assert len([line for line in (face.__doc__ or "").splitlines() if line.strip()]) >= least


@pytest.mark.parametrize("name", ["notify", "workers", *MODULES])
def test_exports_are_sorted_and_exist(name: str) -> None:
    module = import_module(name)
    assert module.__all__ == sorted(module.__all__, key=lambda exported: (not exported.isupper(), not exported[0].isupper(), exported))
    assert [exported for exported in module.__all__ if not hasattr(module, exported)] == []


@pytest.mark.parametrize("name", ["notify", "workers", *FOLDERS])
def test_no_module_is_called_like_a_function_that_its_package_exports(name: str) -> None:
    package = import_module(name)
    modules = {found.name for found in iter_modules(package.__path__)}
    assert [exported for exported in package.__all__ if exported in modules and isfunction(getattr(package, exported))] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_file_has_at_most_300_lines(package: str) -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in files(package)}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_a_class_with_its_bases_has_at_most_300_lines() -> None:
    assert {name for name, length in lengths_with_bases().items() if length > MOST_LINES} == TOO_LONG_CLASSES


def test_the_length_of_a_class_counts_its_bases() -> None:
    lengths = lengths_with_bases()
    assert lengths["workers.scripts.claim.ClaimScripts"] > class_lines()["workers.scripts.claim", "ClaimScripts"]
    assert all(isclass(getattr(sys.modules[module], name)) for module, name in class_lines())


@pytest.mark.parametrize("package", PACKAGES)
def test_no_function_imports(package: str) -> None:
    for path in files(package):
        if path.suffix == ".py":
            inner = [node for function in functions_of(ast.parse(path.read_text())) for node in ast.walk(function)]
            assert not [node for node in inner if isinstance(node, ast.Import | ast.ImportFrom)], path


def test_a_test_file_has_at_most_400_lines() -> None:
    lengths = {str(path.relative_to(TESTS)): len(path.read_text().splitlines()) for path in TESTS.rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > MOST_TEST_LINES} == {}


def without_reason(text: str, call: re.Pattern[str]) -> list[int]:
    """The lines with a call and no comment: beside it, or alone in the line above."""
    lines = ["", *text.splitlines()]
    return [n for n, line in enumerate(lines) if call.search(line) and " #" not in line and not lines[n - 1].lstrip().startswith("#")]


def test_a_sleep_in_a_test_and_an_error_that_is_swallowed_have_a_reason() -> None:
    sleeps = {path.relative_to(TESTS): without_reason(path.read_text(), SLEEP) for path in TESTS.rglob("*.py")}
    assert {path: found for path, found in sleeps.items() if found} == {}
    swallows = {path: without_reason(path.read_text(), SWALLOW) for path in files("notify") if path.suffix == ".py"}
    assert {path: found for path, found in swallows.items() if found} == {}


def test_a_sleep_or_an_error_without_a_reason_is_found() -> None:
    """The twin."""
    text = "time." + "sleep(1)\nawait asyncio." + "sleep(2)  # so long\nawait asyncio." + "sleep(0)\n"
    assert without_reason(text, SLEEP) == [1]
    assert without_reason("with suppress" + "(OSError):\n# so\nwith suppress" + "(OSError):\n", SWALLOW) == [1]


def test_a_name_of_a_test_has_at_most_80_letters() -> None:
    names = [function.name for path in TESTS.rglob("test_*.py") for function in functions_of(ast.parse(path.read_text()))]
    assert [name for name in names if name.startswith("test_") and len(name) > MOST_LETTERS] == []


def undocumented(module: ModuleType) -> Iterator[str]:
    """The public functions and classes of a module, and the public methods of these classes, of which nothing is said."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__ or not (isclass(thing) or isfunction(thing)):
            continue
        if not thing.__doc__:
            yield name
        for part, member in vars(thing).items() if isclass(thing) else ():
            if isinstance(member, METHODS) and not part.startswith("_") and not getdoc(getattr(thing, part)):
                yield f"{name}.{part}"


@pytest.mark.parametrize("name", [name for name in MODULES if name not in KEYS])
def test_what_is_public_has_a_docstring(name: str) -> None:
    """Of its own, or of the method that it overrides."""
    assert list(undocumented(import_module(name))) == []


def test_a_method_without_a_docstring_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("module")
    monkeypatch.setitem(sys.modules, "module", module)
    exec(SILENT, vars(module))  # noqa: S102  # a text of ours
    assert list(undocumented(module)) == ["Silent", "Silent.method", "Silent.number", "function"]
