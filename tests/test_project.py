"""The rules of the project: its documents, its files, its layers, and the statements it makes about itself."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import notify
import notify.keys
from tests.rq_suite.deviations import README, deviations, left_out

ROOT = Path(__file__).parent.parent
PACKAGES = ("notify", "workers", "cli")
PACKAGES_BY_NAME = {name: Path(import_module(name).__file__ or "").parent for name in PACKAGES}


def sources() -> list[Path]:
    """The Python and Lua files of the packages as they are installed; these need not be the files beside the tests."""
    return [path for folder in PACKAGES_BY_NAME.values() for path in folder.rglob("*") if path.suffix in (".py", ".lua")]


def test_the_compose_file_keeps_to_the_compose_schema() -> None:
    command = [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", ROOT / "compose.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_compose_file_runs_only_commands_that_exist() -> None:
    import_yaml = import_module("yaml")
    services = import_yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert set(services) == {"redis", "storage", "thermometer", "recorder", "worker"}
    for name in set(services) - {"redis"}:
        done = subprocess.run(
            [sys.executable, "-m", "cli", *services[name]["command"], "--help"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{name}: {done.stderr}"
        assert services[name]["healthcheck"]["test"]


def test_the_documented_data_model_is_that_of_the_keys_module() -> None:
    described = notify.keys.__doc__ or ""
    tables = described[described.index("=====") : described.index("Topics on which")].rstrip()
    assert tables in (ROOT / "docs" / "data-model.md").read_text()


def test_nothing_is_pickled() -> None:
    assert not [path for path in sources() if re.search(r"import pickle|pickle\.(load|dump)|PickleSerializer", path.read_text())]


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_says_that_it_is_typed(package: str) -> None:
    assert Path(import_module(package).__file__ or "").with_name("py.typed").exists()


@pytest.mark.parametrize("package", ["notify", "workers"])
def test_what_is_exported_is_sorted_and_there(package: str) -> None:
    module = import_module(package)
    exported = module.__all__
    assert exported == sorted(exported, key=lambda name: (not name[0].isupper(), name))
    assert all(hasattr(module, name) for name in exported)


def test_the_version_is_the_one_of_the_changelog_and_of_what_is_installed() -> None:
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert notify.__version__ == newest[1] == version("notify-workers")


def test_the_version_is_written_in_one_place() -> None:
    written = [path for path in sources() if re.search(r"^(__)?version(__)? = ", path.read_text(), re.MULTILINE)]
    assert [(path.parent.name, path.name) for path in written] == [("notify", "__init__.py")]
    assert not re.search(r"^version = ", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)


def test_every_script_opens_with_its_keys_arguments_and_result() -> None:
    for path in sources():
        text = path.read_text()
        if path.suffix != ".lua" or path.parent.name == "parts":
            continue
        header = "".join(line for line in text.splitlines(keepends=True) if line.startswith("--"))
        assert "-- KEYS " in header, path
        assert "-- ARGV " in header, path
        assert "-- returns " in header, path


def test_no_key_is_spelled_out_beyond_the_keys_modules() -> None:
    for path in sources():
        if path.suffix == ".py" and path.name not in ("keys.py", "rq_keys.py"):
            literals = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
            keys = [value for value in literals if isinstance(value, str) and re.match(r"(rq|notify):\w", value)]
            assert keys in ([], ["notify:"]), f"{path}: {keys}"


def test_every_test_of_rq_that_is_listed_has_its_reason_and_stands_there_once() -> None:
    listed = re.findall(r"`(test_\w+\.py[\w:]*)`", README.read_text())
    tables = [deviations(2), left_out(2), deviations(3), left_out(3)]
    assert sorted(set(listed)) == sorted({name for table in tables for name in table})
    assert all("::" in name for major in (2, 3) for name in deviations(major))
    assert all(len(why.split()) > 3 and why.endswith((".", ".)")) for table in tables for why in table.values())


def test_the_architecture_names_only_what_is_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    quoted = set(re.findall(r"`([^`\n]+)`", page))
    places = {PACKAGES_BY_NAME[path.split("/")[0]] / path.partition("/")[2] for path in quoted if path.split("/")[0] in PACKAGES}
    assert len(places) > 40
    assert [str(place) for place in places if not place.exists()] == []
    text = "".join(path.read_text() for path in sources())
    names = {name for name in quoted if re.fullmatch(r"[A-Z]\w+(\.\w+)?", name)}
    assert len(names) > 10
    assert [name for name in names if not re.search(rf"(class|def|^)\s*{name.rpartition('.')[2]}\b", text, re.MULTILINE)] == []


def test_the_architecture_shows_every_folder() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    picture = page[page.index("```text") : page.index("\n```\n")]
    for package in PACKAGES:
        folders = {path.parent.name for path in PACKAGES_BY_NAME[package].glob("*/__init__.py")}
        assert folders - set(re.findall(r"\w+", picture)) == set()


def test_the_workflows_keep_to_their_schema_and_call_what_ci_runs() -> None:
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    assert [path.stem for path in workflows] == ["ci", "release"]
    command = [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", *workflows]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert all("run: .ci/run" in path.read_text() for path in workflows)


def test_before_a_commit_the_same_programs_run_as_make_lint_runs() -> None:
    import_yaml = import_module("yaml")
    (repo,) = import_yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    recipe = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    linted = [line.removeprefix("\t@$(BIN)/").removesuffix(" .").removesuffix("$(MYPY)") for line in recipe.splitlines()[1:]]
    assert [hook["entry"].removeprefix(".venv/bin/") for hook in repo["hooks"]] == linted


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert targets is not None
    done = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {line.split()[0] for line in done.stdout.splitlines()} == set(targets[1].split())
    assert all(len(line.split()) > 2 for line in done.stdout.splitlines())
