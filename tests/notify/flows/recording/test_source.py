"""`replay_from`: a flow that begins with a recording."""

import time
from pathlib import Path
from typing import Any

import pytest

from notify import SettingsError
from notify.flows import pipeline, stage
from notify.flows.recording import replay_from
from notify.testing import wait_until
from tests.support.recordings import contents_of, event, gap, record

pytestmark = pytest.mark.any_server


def test_M14_the_events_and_gaps_of_recordings_begin_a_flow_merged(tmp_path: Path) -> None:
    record(tmp_path / "a", [event(0), gap(), event(2)], step_s=0.02)
    record(tmp_path / "b", [event(number, topic="other") for number in range(3)], step_s=0.021)
    got: list[Any] = []
    pipeline(replay_from(tmp_path / "a", tmp_path / "b"), stage(got.append, gaps=True)).run()
    assert contents_of(got) == [0, 0, "trimmed", 1, 2, 2]


def test_M14_a_flow_replays_at_a_multiple_of_the_pace(tmp_path: Path) -> None:
    record(tmp_path / "r", [event(number) for number in range(5)], step_s=1.0)
    times: list[float] = []
    pipeline(replay_from(tmp_path / "r", speed=20), lambda _: times.append(time.monotonic())).run()
    assert 0.19 < times[-1] - times[0] < 1.0


def test_a_replay_that_waits_ends_at_a_stop(tmp_path: Path) -> None:
    record(tmp_path / "r", [event(0), event(1)], step_s=3_600.0)
    got: list[Any] = []
    began = time.monotonic()
    with pipeline(replay_from(tmp_path / "r"), got.append):
        wait_until(lambda: contents_of(got) == [0], what="the first event")
    assert time.monotonic() - began < 3


def test_a_loop_begins_anew_until_the_flow_stops(tmp_path: Path) -> None:
    record(tmp_path / "r", [event(0), event(1)])
    got: list[Any] = []
    with pipeline(replay_from(tmp_path / "r", loop=True, speed=None), got.append):
        wait_until(lambda: len(got) > 10, what="several rounds")
    assert contents_of(got)[:4] == [0, 1, 0, 1]


def test_an_empty_recording_ends_the_flow_at_once(tmp_path: Path) -> None:
    record(tmp_path / "r", [])
    pipeline(replay_from(tmp_path / "r", loop=True), print).run()


@pytest.mark.parametrize(("folders", "options"), [([], {}), (["r"], {"speed": 0}), (["r"], {"speed": True})])
def test_a_replay_that_cannot_be_is_refused(folders: list[str], options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        replay_from(*folders, **options)
