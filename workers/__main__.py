"""A worker process of a `workers.worker.pool.Pool`. It reads the process id of the pool, and then its options, from standard input.

After the process id stands the number of the file that the pool reads notices from, unless the process is started by hand.
"""

import logging
import signal
import sys
import traceback

import msgspec

from notify import NotifyError
from notify.connection import connect
from notify.process import set_title
from workers.horse import die_with_parent, open_standard_files
from workers.worker import Worker, WorkerOptions
from workers.worker.logs import configure_logging
from workers.worker.notice import Notice, NoticeWriter

log = logging.getLogger(__name__)


def main() -> int:
    """Run a worker until SIGTERM or, with the option ``burst``, until its queues are empty.

    Returns:
        The exit code: 0 after an orderly end, 1 after an error. The error is told to the pool, or else written to stderr.
    """
    open_standard_files()
    parent, *pool = map(int, sys.stdin.buffer.readline().split())
    die_with_parent(signal.SIGTERM, parent=parent)
    notices = NoticeWriter(pool[0]) if pool else None
    options = msgspec.json.decode(sys.stdin.buffer.read(), type=WorkerOptions)
    sys.path += [folder for folder in options.path if folder not in sys.path]
    set_title(f"worker of {', '.join(options.queues)}")
    rq_level = configure_logging(options.log_level)
    try:
        has_cut = work(options, notices, rq_level=rq_level)
    except NotifyError as exc:
        end = Notice("failed", str(exc))
    except Exception as exc:  # the pool reports it once, and not each time that the worker is started again
        end = Notice("failed", f"{type(exc).__name__}: {exc}", traceback.format_exc())
    else:
        end = Notice("ended", has_cut=has_cut)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)  # or a signal that comes once more would kill the interpreter while it ends
    if notices is not None:
        notices.write(end)
    elif end.kind == "failed":
        sys.stderr.write(f"worker: {end.reason}\n{end.detail}")
    return int(end.kind == "failed")


def work(options: WorkerOptions, notices: NoticeWriter | None, *, rq_level: str) -> bool:
    """Connect, and run the worker. Returns whether it ended a job because it was told to end at once."""
    with connect(settings=options.settings, environ={}) as bus:
        worker = Worker(
            options.queues,
            options.name or None,
            connection=bus.redis,
            modules=options.modules,
            retire=options.retire,
            lease_s=options.lease_s,
            skip_foreign=options.skip_foreign,
            told=None if notices is None else lambda is_busy: notices.write(Notice("busy" if is_busy else "idle")),
        )
        bus.redis.hang_up()  # the worker has connections of its own
        worker.work(burst=options.burst, logging_level=rq_level, with_scheduler=True)
        return worker._signals.has_cut


if __name__ == "__main__":
    sys.exit(main())
