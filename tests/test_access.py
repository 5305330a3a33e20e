"""The rights in docs/acl.md are enough: services, events, jobs and their loss, with a user that has no others."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import notify
from notify import ServerRefusedError
from notify.testing import PrivateServer, wait_until
from tests.support.commands import NOTIFY, Command
from workers import Queue
from workers.storage import NAME, Store, store

DOCUMENT = Path(__file__).parent.parent / "docs" / "acl.md"
PASSWORD = "hush"


@pytest.fixture
def url(own_server: PrivateServer) -> str:
    """The URL of the documented user."""
    line = re.search(r"^ACL SETUSER notify .*$", DOCUMENT.read_text(), re.MULTILINE)
    assert line
    rights = line[0].replace("PASSWORD", PASSWORD).split()
    with notify.connect(own_server.url) as bus:
        bus.redis.execute_command(*rights)
    return own_server.url.replace("unix://", f"unix://notify:{PASSWORD}@")


@pytest.fixture
def worker(url: str, tmp_path: Path) -> Iterator[Command]:
    environ = {"PATH": os.environ["PATH"], "NOTIFY_URL": url, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    command = Command([*NOTIFY, "worker", "storage", "--number", "1"], environ=environ, cwd=tmp_path)
    yield command
    command.dispose()


@pytest.mark.usefixtures("worker")
def test_the_documented_rights_are_enough_for_services_events_and_jobs(url, collect):
    with notify.connect(url) as bus, bus.subscribe("job.storage") as events, bus.service(NAME, provides={"store"}) as service:
        queue = Queue("storage", connection=bus.redis)
        done = queue.enqueue(store, "key", 1)
        assert done.wait(timeout_s=20).status == "finished"
        assert Store(bus).retrieve("key") == 1
        assert {event.contents["status"] for event in collect(events, 3)} == {"enqueued", "started", "finished"}
        assert bus.directory.find(provides="store").name == NAME
        assert [topic.topic for topic in bus.traffic()]
        service.kill("test")
        late = queue.enqueue(store, "late", 1)
        wait_until(lambda: late.get_status(refresh=True) == "canceled", what="the loss")


def test_a_subscriber_is_told_which_channels_its_user_lacks(url):
    with notify.connect(url, name="desk") as bus, pytest.raises(ServerRefusedError, match=r"grant &notify:direct:desk &notify:event:t\*"):
        bus.subscribe("t*")
