"""The lab in the pictures: services, workers, and jobs in every status."""

import math
import os
import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import notify
from notify.history import edge_of, field_of
from notify.testing import PrivateServer, wait_until
from tests.support.commands import NOTIFY, Command
from workers import Queue

sys.path.insert(0, str(Path(__file__).parent))

import shop  # a short dotted path for the pictures, as a user would have

QUEUES = ("orders", "mail", "images", "reports")


@contextmanager
def lab(server: PrivateServer, bus: notify.Bus, folder: Path) -> Iterator[str]:
    """Run the lab. Yields the id of a job with a story."""
    environ = {
        "PATH": os.environ["PATH"],
        "NOTIFY_URL": server.url,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
    }
    with ExitStack() as stack:
        for name, provides, groups in (
            ("payments", {"charge", "refund"}, {"eu"}),
            ("catalog", {"search"}, {"eu"}),
            ("mailer", {"smtp"}, set()),
        ):
            stack.enter_context(bus.service(name, provides=provides, groups=groups, metadata={"release": "2026.11.3"}))
        with bus.service("pictures", provides={"render"}):
            images = Queue("images", connection=bus.redis)
            for number in range(14):
                images.enqueue(shop.resize, f"products/{number}.png", 1200, 800)
        orders, mail = (Queue(name, connection=bus.redis) for name in ("orders", "mail"))
        first = orders.enqueue(shop.charge, 1044, 129.9)
        story = orders.enqueue(shop.charge, 1053, 18.5, depends_on=[])
        for number in range(60):
            charged = orders.enqueue(shop.charge, 1000 + number, round(random.uniform(5, 300), 2))
            if number % 3 == 0:
                mail.enqueue(shop.send_receipt, 1000 + number, f"customer{number}@example.org", depends_on=charged)
        Queue("reports", connection=bus.redis).enqueue(shop.build_report, "2026-10")
        for month in ("2026-07", "2026-08", "2026-09"):
            Queue("archive", connection=bus.redis).enqueue(shop.archive, month)
        mail.enqueue_in(timedelta(hours=3), shop.send_receipt, 2001, "later@example.org")
        command = [*NOTIFY, "worker", *QUEUES, "--import", "shop", "--number", "3"]
        worker = Command(command, environ=environ, cwd=folder)
        stack.callback(worker.dispose)
        wait_until(lambda: not orders.count, timeout_s=60, what="the end of the orders")
        for number in range(700):
            orders.enqueue(shop.charge, 3000 + number, round(random.uniform(5, 300), 2))
        _write_past(bus)
        bus.publish("prices", {"sku": "A-1044", "price": 129.9})
        yield story.id if first.id else ""


def _write_past(bus: notify.Bus) -> None:
    """Write the counts of an hour that did not happen, for the plots."""
    now: int = bus.redis.time()[0]
    for ago in range(1, 61):
        wave = 1 + 0.5 * math.sin(ago / 7) + 0.2 * math.sin(ago / 2.3)
        failed = 42 if 22 < ago < 27 else 3
        finished, wait_ms = round(420 * wave), round(340 * wave) + failed * 20
        key = bus.keys.history("m", now // 60 - ago)
        names = ("orders", "shop.charge")
        fields = {
            field_of("job enqueued", *names): finished + failed,
            field_of("job started", *names, bucket=f"wait<={edge_of(wait_ms / 1000)}"): finished + failed,
            field_of("job finished", *names, bucket=f"work<={edge_of(0.2)}"): finished,
            field_of("job failed", *names, bucket=f"work<={edge_of(0.9)}"): failed,
            field_of("job work_us", *names): round(finished * 210_000 * wave) + failed * 900_000,
            field_of("job wait_us", *names): finished * wait_ms * 1000,
        }
        bus.redis.hset(key, mapping=fields)
        bus.redis.expire(key, 3600)
