"""A worker in this process."""

from collections.abc import Iterator

import pytest

import notify
from tests.workers.conftest import SAMPLE
from workers import Worker


@pytest.fixture
def worker(bus: notify.Bus) -> Iterator[Worker]:
    """A worker in this process, which does not work yet."""
    idle = Worker(["work"], connection=bus.redis, modules=[SAMPLE])
    yield idle
    idle.teardown()
