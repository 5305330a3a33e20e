"""The directory of the private server: nobody else may have written there, and nobody else's server is used."""

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import notify
from notify import EmbeddedServerError
from notify.server.private import check_owner, make_private


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a name that is short enough for a socket in it."""
    with tempfile.TemporaryDirectory(prefix="notify-", dir="/tmp") as directory:
        yield Path(directory)


def test_a_new_directory_is_for_its_user_only(tmp_path):
    make_private(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o722])
def test_a_directory_that_others_may_have_written_is_refused_each_time(folder, mode):
    home = folder / "home"
    home.mkdir()
    (home / "appendonlydir").mkdir()
    home.chmod(mode)
    for _ in range(2):
        with pytest.raises(EmbeddedServerError, match=r"other users can write to .*chmod 700"):
            notify.connect(environ={"NOTIFY_HOME": str(home)})
    assert home.stat().st_mode & 0o7777 == mode


def test_an_empty_directory_that_others_can_write_is_closed_to_them(tmp_path):
    tmp_path.chmod(0o777)
    make_private(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_is_a_symbolic_link_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(EmbeddedServerError, match="is a symbolic link"):
        make_private(tmp_path / "link")


def test_a_directory_that_others_could_replace_is_refused(tmp_path):
    (tmp_path / "open" / "home").mkdir(parents=True)
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(EmbeddedServerError, match="everybody can replace"):
        make_private(tmp_path / "open" / "home")


@pytest.mark.parametrize("name", ["users.lock", "starting.lock"])
def test_a_lock_that_is_a_symbolic_link_is_not_followed(folder, name):
    home, target = folder / "home", folder / "target"
    home.mkdir(mode=0o700)
    (home / name).symlink_to(target)
    with pytest.raises(EmbeddedServerError, match=rf"{name} cannot be used as a lock"):
        notify.connect(environ={"NOTIFY_HOME": str(home)})
    assert not target.exists()


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="this system does not tell who listens on a socket")
def test_a_server_of_another_user_is_not_used(folder, monkeypatch):
    path, me = folder / "redis.sock", os.getuid()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        check_owner(path)
        monkeypatch.setattr(os, "getuid", lambda: me + 1)
        with pytest.raises(EmbeddedServerError, match=rf"another user \(uid {me}\) listens on"):
            check_owner(path)


@pytest.mark.parametrize("name", ["50%", "why?", "no#1", "a b", "%41"])
def test_a_directory_with_special_characters_in_its_name_works(folder, name):
    with notify.connect(environ={**os.environ, "NOTIFY_HOME": str(folder / name)}) as bus:
        bus.publish("t", 1)
        with bus.subscribe("t", since="start") as events:
            assert events.get(5).contents == 1
        assert bus.settings.url is not None
        with notify.connect(bus.settings.url) as another:
            assert another.topics() == ["t"]
