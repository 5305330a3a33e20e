"""Progress of a burst: a bar on a terminal, a line or a record elsewhere."""

import re

import notify
from tests.cli.conftest import Shell
from workers import Queue

JOBS = """
import time
from workers import job

@job("yard")
def greet():
    time.sleep(0.1)  # so that progress is shown while there is some

@job("yard")
def fall():
    raise ValueError("fallen")
"""


def fill(shell: Shell, bus: notify.Bus) -> None:
    (shell.folder / "yard_jobs.py").write_text(JOBS)
    queue = Queue("yard", connection=bus.redis)
    for name in ("greet",) * 8 + ("fall",) * 2:
        queue.enqueue(f"yard_jobs.{name}")


BURST = ("worker", "yard", "--import", "yard_jobs", "--burst", "--number", "1")


def test_on_a_terminal_a_burst_shows_how_far_it_is(shell: Shell, bus: notify.Bus) -> None:
    fill(shell, bus)
    code, shown = shell.show(*BURST)
    assert code == 0
    left = [int(number) for number in re.findall(r"(\d+) left", shown)]
    assert left[-1] == 0
    assert any(0 < number <= 10 for number in left)
    assert left == sorted(left, reverse=True)
    assert "━" in shown
    assert re.search(r"8 done, 2 failed, 0 left, \d+/s in \d+\.\d s\n", shown)


def test_elsewhere_a_burst_says_at_its_end_what_was_done(shell: Shell, bus: notify.Bus) -> None:
    fill(shell, bus)
    done = shell.run(*BURST)
    assert (done.code, done.out, "━" in done.err, "\x1b" in done.err) == (0, "", False, False)
    assert re.search(r"^8 done, 2 failed, 0 left, \d+/s in \d+\.\d s$", done.err, re.MULTILINE)


def test_with_json_a_burst_ends_with_a_record(shell: Shell, bus: notify.Bus) -> None:
    fill(shell, bus)
    done = shell.run(*BURST, "--json")
    (record,) = done.records
    assert {**record, "seconds": None} == {"done": 8, "failed": 2, "left": 0, "seconds": None}
    assert record["seconds"] > 0.8


def test_who_is_no_burst_shows_nothing(shell: Shell, bus: notify.Bus) -> None:
    fill(shell, bus)
    worker = shell.start("worker", "yard", "--import", "yard_jobs", "--number", "1")
    worker.said("1 worker on yard")
    worker.interrupt()
    assert "left" not in worker.end().err
