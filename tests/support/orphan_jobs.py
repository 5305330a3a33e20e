"""Jobs that leave orphans behind, and one that looks for zombies. For workers in a pid namespace of their own."""

import os
import signal
import subprocess
import threading
from pathlib import Path

from tests.support.sample_jobs import WAIT_S, note
from workers import job


@job("work")
def leave_orphans(count: int) -> list[int]:
    """Start programs that go on for a moment after the program that started them."""
    script = "for i in $(seq $0); do sleep 0.2 >&- & echo $!; done"
    return [int(pid) for pid in subprocess.run(["sh", "-c", script, str(count)], stdout=subprocess.PIPE, check=True).stdout.split()]


@job("work")
def kill_the_worker() -> None:
    """Leave a program behind, and kill the worker."""
    note("program", subprocess.Popen(["sleep", "1"]).pid)
    os.kill(_parent(_parent(os.getpid())), signal.SIGKILL)
    threading.Event().wait(WAIT_S)


@job("work")
def remaining(pids: list[int]) -> list[int]:
    """Those processes that run or are zombies."""
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@job("work")
def zombies() -> list[str]:
    """The names of all zombies, and of process 1 in the first place."""
    names = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            name, _, fields = (path / "stat").read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if path.name == "1":
            names.insert(0, (path / "cmdline").read_text())
        elif fields.split()[0] == "Z":
            names.append(name)
    return names


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
