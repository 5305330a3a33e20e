"""An outage is told when it begins and when it ends, and not at every attempt in between."""

import logging

import pytest

from notify.server.backoff import MAX_BACKOFF_S, Outage


@pytest.fixture
def outage(caplog):
    caplog.set_level(logging.INFO)
    return Outage(logging.getLogger("test"), "the sweep")


def test_however_often_it_is_tried_it_is_told_once_and_its_end_once(outage, caplog):
    for _ in range(2):
        for attempt in range(5):
            outage.failed(f"no answer ({attempt})")
        for _ in range(3):
            outage.over()
    began, ended, *again = [record.getMessage() for record in caplog.records]
    assert began == "the sweep waits for the server: no answer (0)"
    assert ended.startswith("the sweep goes on after 0.")
    assert len(again) == 2


def test_where_there_is_none_nothing_is_told(outage, caplog):
    outage.over()
    assert not caplog.records


def test_attempts_grow_rarer_up_to_a_limit_and_begin_anew_with_the_next_outage(outage):
    assert 0 < outage.failed("x") <= 0.05
    outage._since -= 60
    assert MAX_BACKOFF_S / 2 <= outage.failed("x") <= MAX_BACKOFF_S
    outage.over()
    assert outage.failed("x") <= 0.05
