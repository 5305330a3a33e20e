"""The identity of a process: it is called dead only where that is certain."""

import os
import subprocess
import sys
import threading

import pytest
from msgspec.structs import replace

from notify.process import ProcessIdentity, identity, this_process

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells the start times and namespaces of processes")
pytestmark = [pytest.mark.any_server, linux]


def of(pid: int) -> ProcessIdentity:
    """The identity of a running child of this process."""
    fields = identity._stat(pid)
    assert fields is not None
    return replace(this_process(), pid=pid, started=fields[identity.START_TIME])


@pytest.fixture
def child():
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_running_process_is_not_dead(child):
    assert not this_process().is_certainly_dead()
    assert not of(child.pid).is_certainly_dead()
    assert replace(of(child.pid), pid=1 << 40).is_certainly_dead()  # no pid is so large


def test_a_process_is_dead_when_it_was_killed_also_before_its_parent_has_reaped_it(child):
    found = of(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
    assert found.is_certainly_dead()
    child.wait()
    assert found.is_certainly_dead()


def test_a_process_is_dead_when_its_pid_belongs_to_another_one(child):
    assert replace(of(child.pid), started="1").is_certainly_dead()


@pytest.mark.parametrize(
    "changed",
    [{"host": "elsewhere"}, {"space": "another boot"}, {"space": ""}, {"started": ""}, {"pid": 0}, {"pid": -1}],
    ids=["another host", "another boot or container", "unknown boot", "unknown start", "no pid", "a wrong pid"],
)
def test_nobody_can_tell_whether_a_process_elsewhere_is_dead(changed):
    """The twin: with the identity as it is, the same process is certainly dead."""
    with subprocess.Popen(["true"]) as process:
        dead = replace(this_process(), pid=process.pid, started="1")
        process.wait()
    assert dead.is_certainly_dead()
    assert not replace(dead, **changed).is_certainly_dead()


def test_a_process_that_proc_hides_is_not_dead(child, monkeypatch):
    found = of(child.pid)
    monkeypatch.setattr(identity, "_stat", lambda _: None)
    assert not found.is_certainly_dead()


def test_a_process_of_another_user_is_not_dead(child, monkeypatch):
    def refuse(pid: int, signum: int) -> None:
        raise PermissionError

    found = of(child.pid)
    monkeypatch.setattr(identity.os, "kill", refuse)
    assert not found.is_certainly_dead()


def test_a_first_thread_that_ended_before_the_others_is_no_dead_process(monkeypatch):
    """Both are zombies in /proc."""
    me, fields = this_process(), identity._stat(os.getpid())
    monkeypatch.setattr(identity, "_stat", lambda _: ["Z", *fields[1:]])
    monkeypatch.setattr(identity, "this_process", lambda: me)
    together = threading.Barrier(2)
    other = threading.Thread(target=lambda: (together.wait(), together.wait()))
    other.start()
    together.wait()
    assert not me.is_certainly_dead()
    together.wait()
    other.join()


@pytest.mark.parametrize("missing", ["readlink", "read_text"])
def test_a_system_that_tells_nothing_gives_an_identity_without_a_space(monkeypatch, missing):
    """As on macOS, or where /proc is that of another container."""

    def refuse(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(*((identity.os, "readlink") if missing == "readlink" else (identity.Path, "read_text")), refuse)
    assert this_process() == ProcessIdentity(this_process().host, os.getpid())
    assert not this_process().is_certainly_dead()


def test_a_proc_of_another_pid_namespace_gives_an_identity_without_a_space(monkeypatch):
    monkeypatch.setattr(identity.os, "readlink", lambda _: "1")
    assert this_process().space == ""
