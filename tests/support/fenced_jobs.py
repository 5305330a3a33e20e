"""Jobs that write to states, also after the fence refuses them."""

import threading
from collections.abc import Callable

import redis

from notify import FencedError
from tests.support.sample_jobs import WAIT_S, count, go
from workers import Job, StopLadder, current_bus, current_job, job
from workers.storage import Store

WORDS = "rq:test:words"
"""The errors that jobs got, by name of the job."""


def attempt(name: str, write: Callable[[], object]) -> None:
    """Write, and count the success or the refusal."""
    try:
        write()
        count(f"{name}:written")
    except FencedError as exc:
        current_bus().redis.hset(WORDS, name, str(exc))
        count(f"{name}:refused")


@job("work", stop=StopLadder(flag_s=WAIT_S))
def write_when_released(name: str) -> None:
    """Write in every way, once released; the fields ``old`` and ``doomed`` exist."""
    state = current_bus().state("s")
    count(f"{name}:begun")
    current_bus().redis.blpop(go(name), WAIT_S)
    attempt(name, lambda: state.update({name: 1}))
    attempt(name, lambda: state.increment(f"{name}:n"))
    attempt(name, lambda: state.append(f"{name}:list", current_job().id))
    attempt(name, lambda: state.add(f"{name}:new", 1))
    attempt(name, lambda: state.modify("old", lambda value: value + 1))
    attempt(name, lambda: state.__delitem__("doomed"))
    current_bus().redis.hset(WORDS, f"{name}:unfenced", "written")


@job("work", stop=StopLadder(flag_s=WAIT_S))
def store_when_released(name: str) -> None:
    """Write to the storage, once released."""
    store = Store(current_bus())
    count(f"{name}:begun")
    current_bus().redis.blpop(go(name), WAIT_S)
    attempt(name, lambda: store.store(name, 1))


@job("work", stop=StopLadder(flag_s=WAIT_S))
def serve_when_released(name: str) -> None:
    """Write to the state of a service of the job's own, once released."""
    with current_bus().service("own") as service:
        count(f"{name}:begun")
        current_bus().redis.blpop(go(name), WAIT_S)
        attempt(name, lambda: service.state.update({name: 1}))


@job("work", stop=StopLadder(flag_s=WAIT_S))
def write_on(name: str) -> None:
    """Write in a loop with and without a fence; after the refusal, once released, once more without."""
    state, client = current_bus().state("s"), current_bus().redis
    count(f"{name}:begun")
    try:
        while True:
            state.increment(name)
            client.hincrby(WORDS, name)
            threading.Event().wait(0.0005)
    except FencedError:
        count(f"{name}:refused")
    client.blpop(go(name), WAIT_S)
    client.hincrby(WORDS, name)


@job("work")
def write_at_the_end(ended: Job, connection: redis.Redis, *how: object) -> None:
    """Callback that writes to the state."""
    attempt(ended.args[0], lambda: current_bus().state("s").update({current_job().id: 1}))


@job("work")
def publish_and_close(name: str) -> str:
    """Publish through a background publisher and close the bus; the fence and the connection of the job still work after that."""
    with current_bus() as bus:
        bus.background_publisher().put("t", f"{name} queued")
    current_bus().state("s")[name] = 1
    return current_bus().publish("t", f"{name} after")
