"""An outage is told when it begins and when it ends, and not at every attempt in between."""

import logging

import pytest

from notify.server.backoff import MAX_BACKOFF_S, Backoff


@pytest.fixture
def backoff(caplog):
    caplog.set_level(logging.INFO)
    return Backoff(logging.getLogger("test"), "the sweep")


def test_however_often_it_is_tried_it_is_told_once_and_its_end_once(backoff, caplog):
    for _ in range(2):
        for attempt in range(5):
            backoff.failed(f"no answer ({attempt})")
        for _ in range(3):
            backoff.over()
    began, ended, *again = [record.getMessage() for record in caplog.records]
    assert began == "the sweep waits for the server: no answer (0)"
    assert ended.startswith("the sweep goes on after 0.")
    assert len(again) == 2


def test_where_there_is_none_nothing_is_told(backoff, caplog):
    backoff.over()
    assert not caplog.records


def test_attempts_grow_rarer_up_to_a_limit_and_begin_anew_with_the_next_outage(backoff):
    assert 0 < backoff.failed("x") <= 0.05
    backoff._since -= 60
    assert MAX_BACKOFF_S / 2 <= backoff.failed("x") <= MAX_BACKOFF_S
    backoff.over()
    assert backoff.failed("x") <= 0.05
