"""Jobs that report their progress."""

import threading

from notify.server import Client
from tests.support.sample_jobs import WAIT_S, count, go
from workers import current_bus, current_job, job


@job("work")
def walk(name: str, steps: int) -> int:
    """Report each of many quick steps. Returns how many commands that sent."""
    client = Client.of(current_job().connection)
    sent: list[str] = []
    exchange = client.exchange
    client.exchange = lambda *command, **options: sent.append(str(command[0])) or exchange(*command, **options)  # type: ignore[method-assign, assignment, func-returns-value]  # counts
    for step in range(1, steps + 1):
        current_job().progress(step, steps + 1, f"step {step}")
    count(f"{name}:done")
    return len(sent)


@job("work")
def walk_on(name: str) -> None:
    """Report, wait to be let go, and report once more; also if the job was stopped meanwhile."""
    current_job().progress(1, 3, "waiting")
    count(f"{name}:begun")
    current_bus().redis.blpop(go(name), WAIT_S)
    current_job().progress(3, 3)
    threading.Event().wait(0)


@job("work")
def stumble() -> None:
    current_job().progress(1)
    current_job().progress(2, message="about to fall")
    raise ValueError("no luck")


@job("work", concurrency=4)
async def walk_beside(name: str) -> None:
    current_job().progress(1, 4, name)
    current_job().progress(2, 4, name)
