"""Fixtures for the tests of losses."""

import pytest

import notify
from workers.loss.held import HeldJobs
from workers.scripts.jobs import JobScripts


@pytest.fixture
def holds(bus: notify.Bus) -> HeldJobs:
    return HeldJobs(bus.redis)


@pytest.fixture
def scripts(bus: notify.Bus) -> JobScripts:
    return JobScripts(bus.redis)
