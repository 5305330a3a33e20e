"""What ``notify worker`` tells: each job on a terminal, the log of the jobs, what is left at Ctrl-C, and why it ends."""

import re
import signal

import pytest

import notify
from notify.testing import wait_until
from tests.cli.conftest import Shell
from workers import Queue

pytestmark = pytest.mark.any_server

JOBS = """
import logging, os, time
from workers import JobRefusedError, job

@job("yard")
def greet(name):
    logging.getLogger("yard").info("greeting %s", name)

@job("yard")
def say(text):
    print(text, flush=True)
    return text

@job("yard")
def count(number: int):
    pass

@job("yard")
def refuse():
    raise JobRefusedError("own")

@job("mail")
def fail():
    raise ValueError("no \\x1b[31mstamp")

@job("yard")
def hold(folder, name):
    open(f"{folder}/{name}-begun", "w").close()
    while not os.path.exists(folder + "/may-end"):
        time.sleep(0.01)  # until it may end
"""

DIES = """
import logging, os, signal, sys
from workers import job

@job("yard")
def greet():
    pass

if any("asctime" in each.formatter._fmt for each in logging.getLogger().handlers):  # in the worker process only, which has set up its log
    {how}
"""


@pytest.fixture
def yard(shell: Shell, bus: notify.Bus) -> Queue:
    (shell.folder / "yard_jobs.py").write_text(JOBS)
    return Queue("yard", connection=bus.redis)


def hold(shell: Shell, queue: Queue, name: str) -> None:
    queue.enqueue("yard_jobs.hold", str(shell.folder), name)


def test_on_a_terminal_each_job_is_told_by_default(shell: Shell, yard: Queue, bus: notify.Bus) -> None:
    job, failing = yard.enqueue("yard_jobs.greet", "Ada"), Queue("mail", connection=bus.redis).enqueue("yard_jobs.fail")
    worker = shell.start_on_terminal("worker", "--import", "yard_jobs", "--number", "1")
    worker.until("1 worker on yard, mail (the queues of the jobs in yard_jobs) at ")
    worker.until(f"yard_jobs.fail {failing.id} failed in")
    worker.signal(signal.SIGTERM)
    assert worker.end() == 0
    shown = worker.shown
    assert re.search(rf"\d\d:\d\d:\d\d\.\d{{3}} yard_jobs\.greet {job.id} started\n", shown)
    assert re.search(rf"yard_jobs\.greet {job.id} finished in \d\.\d{{3}} s\n", shown)
    assert "INFO yard: greeting Ada\n" in shown
    assert re.search(rf"yard_jobs\.fail {failing.id} failed in \d\.\d{{3}} s: ValueError: no \\x1b\[31mstamp", shown)
    assert "\x1b[31mstamp" not in shown
    assert "Listening on" not in shown


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_job_prints_in_a_worker_that_was_started_with_closed_streams(shell: Shell, yard: Queue, closed: str) -> None:
    """Without files in their place, what it prints would go into a socket of the worker."""
    job = yard.enqueue("yard_jobs.say", "x" * 100)
    done = shell.start_program("sh", "-c", f"python -m cli worker --import yard_jobs --number 1 --burst {closed}").end()
    assert (done.code, job.return_value()) == (0, "x" * 100), done.err


def test_a_job_that_cannot_be_called_is_told_in_a_line(shell: Shell, yard: Queue) -> None:
    """No code of it went wrong, so there is no traceback to see. The twin raises the same error in its own code."""
    yard.enqueue("yard_jobs.unknown", job_id="unknown")
    yard.enqueue("yard_jobs.count", "three", job_id="misused")
    yard.enqueue("yard_jobs.refuse", job_id="own")
    done = shell.run("worker", "--import", "yard_jobs", "--burst", "-n", "1")
    told = [line for line in done.err.splitlines() if line.startswith("20")]
    assert [re.findall(r"(WARNING|ERROR).*? (unknown|misused|own)\b.*(JobRefused|JobArguments|executing)", line)[0] for line in told] == [
        ("WARNING", "unknown", "JobRefused"),
        ("WARNING", "misused", "JobArguments"),
        ("ERROR", "own", "executing"),
        ("WARNING", "own", "JobRefused"),
    ], done.err
    assert done.err.count("Traceback") == 1


def test_elsewhere_only_problems_are_told_with_date_and_level(shell: Shell, yard: Queue, bus: notify.Bus) -> None:
    yard.enqueue("yard_jobs.greet", "Ada")
    failing = Queue("mail", connection=bus.redis).enqueue("yard_jobs.fail")
    done = shell.run("worker", "--import", "yard_jobs", "--burst", "-n", "1")
    assert done.code == 0
    assert "greet" not in done.err
    assert re.search(rf"\d{{4}}-\d\d-\d\d .* WARNING workers\.jobs yard_jobs\.fail {failing.id} failed in", done.err)


@pytest.mark.parametrize(("level", "told"), [("info", True), ("error", False)])
def test_the_level_decides_what_of_the_jobs_log_is_shown(shell: Shell, yard: Queue, level: str, told: bool) -> None:
    yard.enqueue("yard_jobs.greet", "Ada")
    done = shell.run("worker", "--import", "yard_jobs", "--burst", "-n", "1", "--log-level", level)
    assert ("INFO yard greeting Ada" in done.err) is told


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("count", "words"), [(1, "finishing 1 job; again to stop at once"), (2, "finishing 2 jobs; again to stop at once")]
)
def test_the_first_signal_is_answered_at_once(shell: Shell, yard: Queue, signum: signal.Signals, count: int, words: str) -> None:
    for number in range(count):
        hold(shell, yard, str(number))
    worker = shell.start("worker", "--import", "yard_jobs", "-n", "2")
    wait_until(lambda: len(list(shell.folder.glob("*-begun"))) == count, timeout_s=20)
    worker.signal(signum)
    worker.said(words, timeout_s=5)
    (shell.folder / "may-end").touch()
    assert worker.end().code == (130 if signum == signal.SIGINT else 0)


def test_a_second_sigterm_stops_the_jobs_and_is_no_orderly_end(shell: Shell, yard: Queue) -> None:
    hold(shell, yard, "x")
    worker = shell.start("worker", "--import", "yard_jobs", "-n", "1")
    wait_until((shell.folder / "x-begun").exists, timeout_s=20)
    worker.signal(signal.SIGTERM)
    worker.said("finishing 1 job")
    worker.signal(signal.SIGTERM)
    done = worker.end(timeout_s=8)
    assert done.code == 4
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ('raise OSError("no licence")', "no licence"),
        ("os._exit(0)", "exited with code 0, without a reason"),
        ("os._exit(3)", "exited with code 3, without a reason"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed by signal 9 (SIGKILL)"),
    ],
)
def test_workers_that_all_die_at_their_start_are_code_1_with_the_reason(shell: Shell, bus: notify.Bus, how: str, reason: str) -> None:
    (shell.folder / "dying_jobs.py").write_text(DIES.format(how=how))
    done = shell.run("worker", "--import", "dying_jobs", "-n", "2", "--max-restarts", "1")
    assert done.code == 1
    first, told, last = done.err.splitlines()
    assert first.startswith("2 workers on yard (the queues of the jobs in dying_jobs) at ")
    assert "is started again" in told
    assert "was started again 1 times within 300 s" in last
    assert reason in told
    assert reason in last


def test_a_burst_whose_workers_die_is_code_1_too(shell: Shell, bus: notify.Bus) -> None:
    (shell.folder / "dying_jobs.py").write_text(DIES.format(how="os._exit(0)"))
    assert shell.run("worker", "--import", "dying_jobs", "-n", "1", "--max-restarts", "0", "--burst").code == 1


def test_with_queues_and_an_import_the_queues_are_those_that_were_named(shell: Shell, yard: Queue) -> None:
    job = yard.enqueue("yard_jobs.greet", "Ada")
    done = shell.run("worker", "mail", "--import", "yard_jobs", "--burst", "-n", "1")
    assert done.err.startswith("1 worker on mail at ")
    assert job.get_status(refresh=True) == "queued"
