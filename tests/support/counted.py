"""Processes that put jobs on a queue until there are three, and count them; they stop between two steps to be killed there."""

import sys

import notify
from notify.history import field_of
from tests.support.processes import say, wait_for_go
from tests.support.sample_jobs import add
from workers import Queue

WANTED = 3
FIELD = field_of("job enqueued", "work", f"{add.__module__}.{add.__name__}")


def enqueuer(url: str, order: str) -> None:
    """Count ``with`` the change, as Notify does; or, without its history, in a step of its own ``after`` it or ``before`` it."""
    with notify.connect(url) as bus:
        queue = Queue("work", connection=bus.redis)

        def count() -> None:
            key = bus.keys.history("m", bus.redis.time()[0] // 60)
            bus.redis.hincrby(key, FIELD, 1)
            bus.redis.expire(key, 60)

        steps = {
            "with": [lambda: queue.enqueue(add)],
            "after": [lambda: queue.enqueue(add), count],
            "before": [count, lambda: queue.enqueue(add)],
        }[order]
        while (number := queue.count) < WANTED:
            first, *others = steps
            first()
            if number == WANTED - 1:
                say("between")
                if not wait_for_go():
                    return
            for step in others:
                step()
        say("done")


if __name__ == "__main__":
    {"enqueuer": enqueuer}[sys.argv[1]](*sys.argv[2:])
