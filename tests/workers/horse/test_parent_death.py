"""A child ends with its parent."""

import ctypes
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from notify.testing import wait_until
from tests.workers.conftest import is_alive
from workers.horse import parent_death

pytestmark = pytest.mark.any_server


PARENT = """
import os, signal, sys, threading
from workers.horse import parent_death
parent = os.getpid()
if os.fork() == 0:
    sys.platform = sys.argv[1]
    if len(sys.argv) > 2:
        parent_death.die_with_parent(signal.Signals(int(sys.argv[2])), parent=parent)
    print(os.getpid(), flush=True)
threading.Event().wait(20)
"""


@pytest.mark.parametrize("platform", ["linux", "elsewhere"])
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_with_its_parent_however_that_ends(platform: str, signum: signal.Signals) -> None:
    if platform == "linux" != sys.platform:
        platform = "elsewhere"
    with subprocess.Popen([sys.executable, "-c", PARENT, platform, str(int(signum))], stdout=subprocess.PIPE, text=True) as parent:
        child = int((parent.stdout or sys.stdin).readline())
        assert is_alive(child)
        parent.kill()
    wait_until(lambda: not is_alive(child), timeout_s=parent_death.POLL_S + 2, what="the end of the child")


def test_without_it_a_child_outlives_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, sys.platform], stdout=subprocess.PIPE, text=True) as parent:
        child = int((parent.stdout or sys.stdin).readline())
        parent.kill()
        parent.wait()
        assert is_alive(child)
        os.kill(child, signal.SIGKILL)


def test_a_parent_that_ended_just_before_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[int, Any]] = []
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda *args, **kwargs: Prctl())
    monkeypatch.setattr(os, "getppid", lambda: 1)
    monkeypatch.setattr(os, "kill", lambda pid, signum: killed.append((pid, signum)))
    parent_death.die_with_parent(parent=4711)
    assert killed == [(os.getpid(), signal.SIGKILL)]


class Prctl:
    def prctl(self, option: int, signum: int) -> int:
        return 0
