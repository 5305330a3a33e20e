"""``notify cron``: the list of recurring jobs."""

import notify
from notify.testing import wait_until
from tests.cli.conftest import Shell

JOBS = """
from workers import job

@job("yard", cron="0 4 * * *")
def sweep():
    pass

@job("yard", every_s=1)
def look():
    print("looked", flush=True)
"""


def test_it_lists_what_the_workers_have_loaded(shell: Shell, bus: notify.Bus) -> None:
    (shell.folder / "yard_jobs.py").write_text(JOBS)
    worker = shell.start("worker", "yard", "--import", "yard_jobs", "--number", "1")
    worker.printed(2)
    look, sweep = shell.run("cron", "--json").records
    assert (look["function"], look["queue"], look["schedule"], look["workers"]) == ("yard_jobs.look", "yard", "every 1 s", 1)
    assert look["last"] is not None
    assert (sweep["function"], sweep["schedule"], sweep["last"]) == ("yard_jobs.sweep", "0 4 * * *", None)
    assert sweep["next"].endswith("T04:00:00+00:00")
    worker.interrupt()
    worker.end()
    wait_until(lambda: shell.run("cron").lines[0].split("\t")[3].startswith("due since 20"), timeout_s=20)
    assert shell.run("cron", "--json").records[0]["next"].startswith("20")
    wait_until(lambda: [row["workers"] for row in shell.run("cron", "--json").records] == [0, 0], timeout_s=20)


def test_there_may_be_nothing(shell: Shell) -> None:
    code, shown = shell.show("cron")
    assert code == 0
    assert "no worker has loaded a job with cron= or every_s=" in shown
