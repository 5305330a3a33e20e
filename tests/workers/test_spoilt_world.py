"""Every key that the packages keep in Redis, spoilt in every way: nothing that reads it breaks down, and a sound job still runs."""

import os
import random
import re
from collections.abc import Iterator

import pytest

import notify
from notify import NotifyError
from tests.support.spoilt import Snapshot, Spoiling, spoilings
from tests.support.spoilt_world import World
from tests.support.workers_here import act
from workers import Outcome

SEED = int(os.environ.get("NOTIFY_FUZZ_SEED", "1"))
PER_PLACE = int(os.environ.get("NOTIFY_FUZZ_PER_PLACE", "1"))
"""How many of the ways to spoil one place a run tries; which, depends on the seed. ``100`` tries all of them, in some minutes."""

pytestmark = pytest.mark.any_server


@pytest.fixture
def world(bus: notify.Bus) -> Iterator[World]:
    world = World(bus)
    yield world
    world.close()


def shape_of(text: str) -> str:
    """Return a place without the ids in it: places of one shape are read by the same code."""
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}", "<id>", text)


def chosen(world: World, keys: list[bytes], dice: random.Random) -> Iterator[Spoiling]:
    """Some of the ways to spoil each place, of one key of each shape. The fields of jobs have a test of their own."""
    places: dict[str, list[Spoiling]] = {}
    for key in {shape_of(key.decode()): key for key in keys}.values():
        is_job = re.fullmatch(rb"rq:job:[^:]+", key)
        for spoiling in spoilings(world.bus.redis, key):
            if spoiling.changes_type or not is_job:
                places.setdefault(spoiling.place, []).append(spoiling)
    for ways in places.values():
        yield from dice.sample(ways, min(PER_PLACE, len(ways)))


def broken(world: World, spoiling: Spoiling) -> list[str]:
    """What does not work any more, by the name of the step; an error in words is allowed where a key has another type."""
    problems = []
    for name, step in world.steps().items():
        try:
            step()
        except NotifyError as exc:
            if not spoiling.changes_type:
                problems.append(f"{name}: {exc}")
        except Exception as exc:
            problems.append(f"{name}: {type(exc).__name__}: {exc}")
    return problems


def unsound(world: World) -> list[str]:
    """Why a sound job does not run; nothing if it does."""
    try:
        sound = world.queue.enqueue(act)
        world.work()
        return [] if sound.outcome == Outcome("finished") else [f"a sound job does not run: {sound.outcome}"]
    except Exception as exc:
        return [f"a sound job does not run: {exc}"]


def test_whatever_is_spoilt_in_redis_nothing_breaks_down_and_a_sound_job_runs(bus: notify.Bus, world: World) -> None:
    dice = random.Random(SEED)
    snapshot = Snapshot(bus.redis)
    problems, tried = {}, 0
    for spoiling in list(chosen(world, snapshot.keys, dice)):
        snapshot.restore()
        spoiling.spoil()
        tried += 1
        found = broken(world, spoiling)
        if not spoiling.changes_type:
            found += unsound(world)
        if found:
            problems[f"{spoiling.place} {spoiling.what}"] = found
    assert problems == {}, f"of {tried}"
