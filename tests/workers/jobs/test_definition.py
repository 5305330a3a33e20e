"""Marking functions as jobs, and loading modules of them."""

import functools
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support import sample_jobs
from workers import JobDefinitionError, ModuleLoadError, job
from workers.jobs.definition import Definition, definition_of, load_jobs
from workers.jobs.requirements import Requirements

pytestmark = pytest.mark.any_server


UNKNOWN: Any = "shrug"
NOTHING: Any = None


@job("a-queue", needs=["printer", "paper"], on_loss="drain")
def marked() -> None: ...


@job("a-queue", needs="printer")
def marked_with_one_need() -> None: ...


@job("a-queue")
def marked_without_needs() -> None: ...


def unmarked() -> None: ...


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the import path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_marked_function_knows_its_queue_its_needs_and_what_a_loss_does() -> None:
    assert definition_of(marked) == Definition("a-queue", Requirements(frozenset({"printer", "paper"}), "drain"))


def test_one_need_is_written_as_its_name() -> None:
    assert definition_of(marked_with_one_need) == Definition("a-queue", Requirements(frozenset({"printer"}), "cancel"))


def test_a_job_needs_nothing_unless_it_says_so() -> None:
    assert definition_of(marked_without_needs) == Definition("a-queue", Requirements(frozenset(), "cancel"))


def test_marking_leaves_the_function_as_it_is() -> None:
    assert job("a-queue")(unmarked) is unmarked
    del unmarked.__dict__["__notify_job__"]


@pytest.mark.parametrize("thing", [unmarked, None, 3, "tests.workers.jobs.test_definition.marked", ModuleType("m")])
def test_an_unmarked_function_has_no_definition(thing: object) -> None:
    assert definition_of(thing) is None


def test_an_unknown_policy_is_refused_and_the_known_ones_are_listed() -> None:
    with pytest.raises(JobDefinitionError, match="on_loss is 'shrug': choose one of cancel, hold, drain, ignore"):
        job("a-queue", on_loss=UNKNOWN)


@pytest.mark.parametrize("needs", [3, None, b"printer", {"printer": 1}, [3], [None], "", "two words", ["printer", ""], "x" * 257])
def test_needs_that_name_no_service_are_refused(needs: Any) -> None:
    with pytest.raises(JobDefinitionError, match="needs"):
        job("a-queue", needs=needs)


@pytest.mark.parametrize("queue", ["", None, 3, ["a-queue"]])
def test_an_invalid_queue_name_is_refused(queue: Any) -> None:
    with pytest.raises(JobDefinitionError, match="name"):
        job(queue)


def test_a_decorator_without_its_queue_is_refused() -> None:
    def forgot_the_queue() -> None: ...

    with pytest.raises(JobDefinitionError, match=r'@job\("default"\)'):
        job(forgot_the_queue)  # type: ignore[arg-type]  # that is the mistake


def test_a_function_within_a_function_is_refused() -> None:
    def inner() -> None: ...

    with pytest.raises(JobDefinitionError, match="top of a module"):
        job("a-queue")(inner)


class Machine:
    def method(self) -> None: ...

    def __call__(self) -> None: ...


@pytest.mark.parametrize("thing", [Machine.method, Machine().method, Machine, Machine(), len, functools.partial(unmarked), NOTHING])
def test_only_a_function_of_a_module_can_be_a_job(thing: Any) -> None:
    with pytest.raises(JobDefinitionError, match="top of a module"):
        job("a-queue")(thing)


def test_a_lambda_is_refused() -> None:
    nameless = eval("lambda: None", {"__name__": "somewhere"})  # noqa: S307  # a lambda at the top of a module
    with pytest.raises(JobDefinitionError, match="top of a module"):
        job("a-queue")(nameless)


def test_loading_gives_the_marked_functions_by_their_path() -> None:
    loaded = load_jobs([sample_jobs.__name__])
    assert loaded["tests.support.sample_jobs.add"] is sample_jobs.add
    assert "tests.support.sample_jobs.unmarked" not in loaded


def test_only_functions_that_a_module_defines_itself_are_loaded(folder: Path) -> None:
    (folder / "borrower.py").write_text(
        "from tests.support.sample_jobs import add\nfrom workers import job\n@job('q')\ndef own(): ...\nalias = own\n"
    )
    assert sorted(load_jobs(["borrower"])) == ["borrower.own"]


def test_several_modules_are_loaded_together() -> None:
    loaded = load_jobs(["workers.storage", "workers.temperature"])
    assert sorted(loaded) == [
        "workers.storage.modify",
        "workers.storage.retrieve",
        "workers.storage.store",
        "workers.temperature.log_temperature",
    ]


def test_the_error_about_a_missing_module_names_it_and_the_remedy() -> None:
    with pytest.raises(ModuleLoadError, match=r"'nowhere\.at_all'.*ModuleNotFoundError.*PYTHONPATH"):
        load_jobs(["nowhere.at_all"])


@pytest.mark.parametrize("broken", ["1 / 0", "def", "raise RuntimeError('no')", "raise SystemExit(3)"])
def test_an_error_while_a_module_is_imported_is_a_load_error(folder: Path, broken: str) -> None:
    name = f"broken_{abs(hash(broken))}"
    (folder / f"{name}.py").write_text(broken)
    with pytest.raises(ModuleLoadError, match=name) as caught:
        load_jobs([name])
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("name", ["", ".relative", 3, "workers..storage"])
def test_an_invalid_module_name_is_a_load_error(name: Any) -> None:
    with pytest.raises(ModuleLoadError):
        load_jobs([name])


def test_a_module_without_jobs_is_an_error() -> None:
    with pytest.raises(ModuleLoadError, match="defines no job"):
        load_jobs(["json"])


def test_members_of_a_module_that_raise_when_inspected_are_skipped(folder: Path) -> None:
    (folder / "odd.py").write_text(
        "from workers import job\n"
        "class Proxy:\n    def __getattr__(self, name):\n        raise RuntimeError('working outside of a request')\n"
        "request = Proxy()\n@job('q')\ndef own(): ...\n"
    )
    assert sorted(load_jobs(["odd"])) == ["odd.own"]


@pytest.mark.parametrize("concurrency", [0, -1, 1001, True, 1.5, "2"])
def test_a_concurrency_that_is_no_number_of_calls_is_refused(concurrency: Any) -> None:
    with pytest.raises(JobDefinitionError, match="give how many calls run side by side"):
        job("work", concurrency=concurrency)


def test_calls_of_a_function_that_is_not_async_cannot_run_side_by_side() -> None:
    with pytest.raises(JobDefinitionError, match="is no `async def`"):
        job("work", concurrency=2)(unmarked)


@pytest.mark.parametrize("given", ["yard.py", "./yard.py"])
def test_the_name_of_a_file_is_answered_with_the_name_of_its_module(given: str) -> None:
    with pytest.raises(ModuleLoadError, match="give the name of the module, 'yard'"):
        load_jobs([given])
