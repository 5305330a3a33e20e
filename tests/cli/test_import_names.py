"""Files in the user's folder with the names of our packages, or of libraries, are not taken for these."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import notify
from notify.testing import wait_until
from tests.cli.conftest import Shell
from workers import Queue
from workers.storage import NAME

pytestmark = pytest.mark.any_server

NAMES = ("workers.py", "cli/__init__.py", "notify.py", "redis.py", "rq.py", "typer.py", "msgspec.py")
OWN = NAMES[:3]
JOBS = """
from workers import job

@job("yard")
def greet(name):
    print("hello", name)
"""
PROGRAM = """
import sys, threading, notify
from workers import Pool, Queue, WorkerOptions

def main():
    heard = threading.Event()
    with notify.connect(sys.argv[1]) as bus, bus.listen("topic", callback=lambda _: heard.set()):
        bus.publish("topic", 1)
        assert heard.wait(20)
        job = Queue("yard", connection=bus.redis).enqueue("yard_jobs.greet", "Ada")
        with Pool(WorkerOptions(settings=bus.settings, queues=("yard",), modules=("yard_jobs",)), size=1):
            assert job.wait(20).status == "finished"

main()
"""
SCRIPT = str(Path(sys.executable).with_name("notify"))


def hostile(folder: Path, names: tuple[str, ...] = NAMES) -> Path:
    """A folder with files that raise an error when they are imported, and with a module of jobs."""
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(f"raise RuntimeError({name!r} + ' of the user')")
    (folder / "yard_jobs.py").write_text(JOBS)
    return folder


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["services"], ""),
        (["enqueue", "yard_jobs.greet", "Ada"], ""),
        (["worker", "--import", "yard_jobs", "--burst", "-n", "1"], "1 worker on yard"),
        (["listen", "-c", "1", "--seconds", "0.1"], "listening to *"),
        (["workers"], ""),
    ],
)
def test_a_command_runs_in_a_folder_with_such_files(shell: Shell, arguments: list[str], said: str) -> None:
    hostile(shell.folder)
    done = shell.start_program(SCRIPT, *arguments).end()
    assert done.code == 0, done.err
    assert said in done.err
    assert "of the user" not in done.err


def test_python_m_cli_runs_there_too_where_no_folder_is_called_cli(shell: Shell) -> None:
    hostile(shell.folder, tuple(name for name in NAMES if not name.startswith("cli")))
    assert shell.run("services").code == 0


def test_a_job_of_that_folder_runs_in_a_worker_that_was_started_there(shell: Shell, bus: notify.Bus) -> None:
    hostile(shell.folder)
    job = Queue("yard", connection=bus.redis).enqueue("yard_jobs.greet", "Ada")
    done = shell.start_program(SCRIPT, "worker", "--import", "yard_jobs", "--burst", "-n", "1").end()
    assert (done.code, done.out) == (0, "hello Ada\n")
    assert job.get_status(refresh=True) == "finished"


def test_all_parts_of_the_lab_start_there(shell: Shell, bus: notify.Bus) -> None:
    hostile(shell.folder)
    up = shell.start_program(SCRIPT, "up", "-n", "1")
    wait_until(lambda: NAME in bus.directory and "thermometer" in bus.directory, timeout_s=30)
    wait_until(lambda: bus.redis.scard("rq:workers") == 1, timeout_s=30)
    up.signal(signal.SIGTERM)
    done = up.end()
    assert done.code == 0, done.err
    assert "of the user" not in done.err


def test_a_program_elsewhere_that_is_started_there_listens_and_has_workers(
    shell: Shell, bus: notify.Bus, tmp_path_factory: pytest.TempPathFactory
) -> None:
    hostile(shell.folder)
    program = tmp_path_factory.mktemp("program") / "main.py"
    program.write_text(PROGRAM)
    done = shell.start_program(sys.executable, str(program), bus.settings.url or "").end()
    assert (done.code, done.out) == (0, "hello Ada\n"), done.err


@pytest.mark.parametrize("module", ["workers", "notify.events"])
def test_without_our_launcher_the_files_of_the_folder_are_taken(tmp_path: Path, module: str) -> None:
    """The twin: this is how the processes were started before."""
    done = subprocess.run(
        [sys.executable, "-m", module], cwd=hostile(tmp_path), input="", capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 1
    assert "of the user" in done.stderr


def test_files_on_the_path_do_not_stand_for_our_packages_either(shell: Shell, bus: notify.Bus, tmp_path: Path) -> None:
    folder = hostile(tmp_path / "path", OWN)
    path = os.pathsep.join(filter(None, [str(folder), shell.environ["PYTHONPATH"]]))
    job = Queue("yard", connection=bus.redis).enqueue("yard_jobs.greet", "Ada")
    done = shell.start_program(SCRIPT, "worker", "--import", "yard_jobs", "--burst", "-n", "1", PYTHONPATH=path).end()
    assert (done.code, done.out) == (0, "hello Ada\n"), done.err
    assert job.get_status(refresh=True) == "finished"


@pytest.mark.parametrize("safe", [None, "1"])
def test_with_a_safe_path_the_folder_is_searched_for_jobs_all_the_same(shell: Shell, bus: notify.Bus, safe: str | None) -> None:
    hostile(shell.folder)
    assert shell.start_program(SCRIPT, "worker", "--import", "yard_jobs", "--burst", "-n", "1", PYTHONSAFEPATH=safe).end().code == 0


@pytest.mark.parametrize(
    ("files", "module", "words"),
    [
        ({"workers.py": JOBS}, "workers", "'workers' is a package of Notify"),
        ({"cli/__init__.py": "", "cli/tasks.py": JOBS}, "cli.tasks", "'cli' is a package of Notify"),
        ({"cli/__init__.py": "", "cli/names.py": "", "jobs_of.py": "import cli.names"}, "jobs_of", "'cli' is a package of Notify"),
        ({"redis.py": JOBS}, "redis", "'redis' is loaded from "),
    ],
)
def test_a_clash_of_names_is_an_error_in_words(shell: Shell, files: dict[str, str], module: str, words: str) -> None:
    for name, source in files.items():
        (shell.folder / name).parent.mkdir(exist_ok=True)
        (shell.folder / name).write_text(source)
    done = shell.start_program(SCRIPT, "worker", "--import", module).end()
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done.err
    assert words in done.err
    assert "give the file or folder another name" in done.err


def test_in_a_checkout_of_notify_its_own_jobs_are_those_that_are_installed(shell: Shell) -> None:
    hostile(shell.folder, ("workers/__init__.py", "workers/storage.py", "workers/temperature.py"))
    done = shell.start_program(SCRIPT, "worker", "--import", "yard_jobs", "--burst", "-n", "1").end()
    assert done.code == 0, done.err
