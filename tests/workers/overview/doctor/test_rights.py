"""The rights that the doctor checks, and those that it names when they are missing."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import notify
from notify.testing import PrivateServer
from workers.overview.doctor import examine
from workers.overview.doctor.rights import COMMANDS, WITHOUT_KEYS, missing_rights

ROOT = Path(notify.__file__).parent.parent
DOCUMENT = Path(__file__).parents[4] / "docs" / "acl.md"
PASSWORD = "hush"

ConnectAs = Callable[..., notify.Bus]


@pytest.fixture
def connect_as(own_server: PrivateServer) -> Iterator[ConnectAs]:
    """Connect as a user with the documented rights, changed by further ones."""
    opened = []
    line = re.search(r"^ACL SETUSER notify .*$", DOCUMENT.read_text(), re.MULTILINE)
    assert line
    rights = line[0].replace("PASSWORD", PASSWORD).split()

    def connect(*changes: str) -> notify.Bus:
        with notify.connect(own_server.url) as bus:
            bus.redis.execute_command(*rights, *changes)
        opened.append(notify.connect(own_server.url.replace("unix://", f"unix://notify:{PASSWORD}@")))
        return opened[-1]

    yield connect
    for bus in opened:
        bus.close()


def test_the_documented_rights_lack_nothing(connect_as: ConnectAs) -> None:
    bus = connect_as()
    assert missing_rights(bus.redis, bus.keys) == []
    (finding,) = [each for each in examine(bus) if each.name == "rights"]
    assert finding.level == "ok"


@pytest.mark.parametrize("right", ["blmove", "evalsha", "publish", "subscribe", "hset", "zadd", "xadd", "multi"])
def test_a_command_that_is_missing_is_named(connect_as: ConnectAs, right: str) -> None:
    bus = connect_as(f"-{right}")
    assert missing_rights(bus.redis, bus.keys) == [f"+{right}"]
    (finding,) = [each for each in examine(bus) if each.name == "rights"]
    assert finding.level == "error"
    assert f"ACL SETUSER notify +{right}" in finding.remedy


def test_keys_that_are_missing_are_named(connect_as: ConnectAs) -> None:
    bus = connect_as("resetkeys", "~notify:*")
    assert missing_rights(bus.redis, bus.keys) == ["~rq:*"]


def test_channels_that_are_missing_are_named(connect_as: ConnectAs) -> None:
    bus = connect_as("resetchannels", "&notify:event:*")
    assert missing_rights(bus.redis, bus.keys) == ["&notify:direct:*", "&rq:pubsub:*"]


def test_nothing_is_run_by_the_check(bus: notify.Bus) -> None:
    assert missing_rights(bus.redis, bus.keys) == []
    assert bus.redis.dbsize() == 0


def test_each_command_of_a_script_is_checked() -> None:
    checked = {line.split()[0] for line in re.split(r"[|\n]", f"{COMMANDS} | {WITHOUT_KEYS}") if line.strip()}
    called = {name.lower() for path in ROOT.glob("[nw]o*/**/*.lua") for name in re.findall(r"redis\.p?call\('([A-Z]+)'", path.read_text())}
    assert len(called) > 40
    assert called - checked == {"publish"}
