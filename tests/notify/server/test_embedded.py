"""The private server: shared by all its users, stopped by the last one, and safe when a user or the server is killed."""

import os
import re
import signal
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

import notify
from notify import EmbeddedServerError, NoServerBinaryError
from notify.server import binary as server_binary
from notify.server.embedded import EmbeddedServer, default_directory
from notify.testing import wait_until
from tests.support.processes import Process


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory for a private server, with a short name. A server that still runs there after the test fails it."""
    with tempfile.TemporaryDirectory(prefix="notify-", dir="/tmp") as directory:
        yield Path(directory, "home")
        pid = _running_server(Path(directory, "home"))
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        assert pid is None, "a server was left running"


def _use(home: Path) -> EmbeddedServer:
    return EmbeddedServer(home, os.environ)


def _running_server(home: Path) -> int | None:
    try:
        pid = int((home / "server.pid").read_text())
        os.kill(pid, 0)
    except (OSError, ValueError):
        return None
    return pid


def _client(server: EmbeddedServer) -> redis.Redis:
    return redis.Redis.from_url(server.url, retry=Retry(NoBackoff(), 0))


def _increment(server: EmbeddedServer) -> int:
    with _client(server) as client:
        return int(client.incr("n"))


@pytest.mark.parametrize(
    ("environ", "directory"),
    [
        ({"NOTIFY_HOME": "/n", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/n"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/notify"),
        ({"NOTIFY_HOME": "", "XDG_STATE_HOME": "", "HOME": "/h"}, "/h/.local/state/notify"),
    ],
)
def test_the_environment_determines_the_directory_of_the_private_server(environ, directory):
    assert default_directory(environ) == Path(directory)


def test_without_variables_the_private_server_is_in_the_home_of_the_user():
    assert default_directory({}).parts[-3:] == (".local", "state", "notify")


def test_only_the_user_can_read_the_directory_and_there_is_no_tcp_port(home):
    home.mkdir(mode=0o755)
    with _use(home) as server, _client(server) as client:
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert stat.S_IMODE((home / "redis.sock").stat().st_mode) == 0o700
        assert client.config_get("port") == {"port": "0"}
        assert server.pid == client.info("server")["process_id"]


def test_the_last_user_stops_the_server_and_its_data_are_kept(home):
    first, second = _use(home), _use(home)
    assert first.pid == second.pid
    assert _increment(first) == 1
    first.close()
    first.close()
    assert _increment(second) == 2
    second.close()
    assert _running_server(home) is None
    assert not (home / "redis.sock").exists()
    with _use(home) as again:
        assert _increment(again) == 3


def _start_user(start: Callable[..., Process], home: Path) -> tuple[Process, int]:
    """Start another process that uses the private server. Returns the process and the process id of the server."""
    user = start("user", home)
    assert user.told() == "ready"
    user.go()
    return user, user.told()


def test_processes_that_start_at_once_share_one_server(home, start):
    users = [start("user", home) for _ in range(4)]
    assert [user.told() for user in users] == ["ready"] * 4
    for user in users:
        user.go()
    assert len({user.told() for user in users}) == 1
    assert [user.end() for user in users] == [0, 0, 0, 0]
    assert _running_server(home) is None


def test_two_processes_communicate_through_the_private_server(home, start):
    user, _ = _start_user(start, home)
    with notify.connect(environ={"NOTIFY_HOME": str(home)}) as bus, bus.subscribe("visits") as visits:
        user.go()
        event_id = user.told()
        event = visits.get(5)
        assert (event.id, event.contents) == (event_id, user.pid)
        user.end()
    assert _running_server(home) is None


def test_a_killed_user_does_not_keep_the_server_alive(home, start):
    user, _ = _start_user(start, home)
    with _use(home):
        user.kill()
    assert _running_server(home) is None


def test_a_server_whose_last_user_was_killed_is_used_and_stopped_by_the_next_user(home, start):
    """A killed user cannot stop the server, which goes on running."""
    user, pid = _start_user(start, home)
    user.kill()
    with _use(home) as server:
        assert server.pid == pid
    assert _running_server(home) is None


def test_a_killed_server_is_started_again_with_its_data(home):
    with _use(home) as first:
        killed = first.pid
        _increment(first)
        os.kill(killed, signal.SIGKILL)
        with _use(home) as second:
            assert second.pid != killed
            assert _increment(first) == 2


def test_a_socket_and_a_pid_file_left_by_an_earlier_server_are_ignored(home):
    home.mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(home / "redis.sock"))
    (home / "server.pid").write_text(str(os.getpid()))  # as if the process id had been reused
    with _use(home) as server:
        assert _increment(server) == 1
    assert _running_server(home) is None


def test_a_pid_file_without_a_number_is_ignored(home):
    home.mkdir()
    (home / "server.pid").write_text("?")
    with _use(home) as server:
        assert _increment(server) == 1


@pytest.mark.any_server
def test_a_hanging_server_is_replaced_and_its_data_are_kept(home):
    with _use(home) as first:
        _increment(first)
        hanging = first.pid
        os.kill(hanging, signal.SIGSTOP)
        with _use(home) as second:
            assert second.pid != hanging
            assert _increment(second) == 2


def test_a_server_survives_ctrl_c_in_the_terminal_of_its_first_user(home):
    with _use(home) as server:
        assert os.getsid(server.pid) != os.getsid(0)


def test_without_any_server_program_the_error_names_both_remedies(home, monkeypatch):
    monkeypatch.setattr(server_binary, "find_spec", lambda _: None)
    with pytest.raises(NoServerBinaryError, match=r"(?s)pip install.*\$NOTIFY_URL"):
        EmbeddedServer(home, {"PATH": str(home)})


def test_a_given_server_that_is_not_executable_is_named_in_the_error(home):
    with pytest.raises(NoServerBinaryError, match=r"\$NOTIFY_SERVER is '/nowhere/redis-server'"):
        EmbeddedServer(home, {"NOTIFY_SERVER": "/nowhere/redis-server"})


def test_a_path_too_long_for_a_socket_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(EmbeddedServerError, match=r"too long for a socket: set \$NOTIFY_HOME"):
        _use(tmp_path / ("x" * 100))


def test_a_directory_that_cannot_be_created_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedServerError, match=r"set \$NOTIFY_HOME"):
        _use(tmp_path / "file" / "home")


def test_a_directory_of_another_user_is_refused(home, monkeypatch):
    home.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: home.stat().st_uid + 1)
    with pytest.raises(EmbeddedServerError, match=r"belongs to another user: set \$NOTIFY_HOME"):
        _use(home)


def test_a_server_that_cannot_start_is_reported_with_the_last_line_of_its_log(home):
    with _use(home) as server:
        _increment(server)
    (log,) = [*home.glob("appendonlydir/*.incr.aof"), *home.glob("appendonly.aof")]  # since Redis 7, and before
    log.write_bytes(b"no append-only file at all\n" * 10)
    with pytest.raises(EmbeddedServerError, match="did not start") as caught:
        _use(home)
    last_line = (home / "server.log").read_text().strip().splitlines()[-1]
    assert str(caught.value).endswith(last_line)
    assert re.search("Bad file format|Unexpected|fixing", str(caught.value))
    assert str(home / "server.log") in str(caught.value)


def test_a_program_that_is_not_a_server_is_reported_with_its_last_output(home, tmp_path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho first\necho I am no server\n")
    program.chmod(0o755)
    with pytest.raises(EmbeddedServerError, match=r"did not start.*: I am no server$"):
        EmbeddedServer(home, {"NOTIFY_SERVER": str(program)})


def test_a_program_that_this_machine_cannot_run_is_named_in_the_error(home, tmp_path):
    program = tmp_path / "program"
    program.write_text("of another machine")
    program.chmod(0o755)
    with pytest.raises(EmbeddedServerError, match=r"program cannot be run: .*; set \$NOTIFY_SERVER"):
        EmbeddedServer(home, {"NOTIFY_SERVER": str(program)})


def test_a_server_that_ends_at_the_moment_of_its_stop_is_no_error(home, monkeypatch):
    kill = os.kill

    def kill_too_late(pid: int, signum: int) -> None:
        kill(pid, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), what="the end of the server")
        kill(pid, signum)

    with _use(home) as server:
        monkeypatch.setattr("notify.server.embedded.os.kill", kill_too_late)
        server.close()
    monkeypatch.undo()
    assert _running_server(home) is None


def test_after_a_failed_start_the_next_one_succeeds(home):
    with pytest.raises(EmbeddedServerError):
        EmbeddedServer(home, {"NOTIFY_SERVER": "/bin/false"})
    with _use(home) as server:
        assert _increment(server) == 1
    assert _running_server(home) is None
