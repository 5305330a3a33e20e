"""Main function of a worker process."""

import signal
import sys
import traceback
from functools import partial

from notify import NotifyError
from notify.connection import connect
from notify.process import printable, set_title
from workers.pool.notice import Notice, NoticeWriter
from workers.pool.options import WorkerOptions
from workers.worker import Worker
from workers.worker.logs import configure_logging
from workers.worker.start import when_admitted

__all__ = ["run_worker"]


def run_worker(options: WorkerOptions, *, notices: NoticeWriter | None = None) -> int:
    """Run a worker until SIGTERM or, with the option ``burst``, until its queues are empty.

    Args:
        options: the options.
        notices: the pipe to the pool; without it an error is written to stderr.

    Returns:
        The exit code: 0 after an orderly end, 1 after an error.
    """
    sys.path += [folder for folder in options.path if folder not in sys.path]
    set_title(f"worker of {', '.join(options.queues)}")
    rq_level = configure_logging(options.log_level)
    try:
        has_cut = _work(options, notices, rq_level=rq_level)
    except SystemExit:  # told to end before it had begun
        end = Notice("ended")
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
        lines = [f"worker: {end.reason}", *end.detail.splitlines()]
        sys.stderr.write("".join(f"{printable(line)}\n" for line in lines))
    return int(end.kind == "failed")


def _work(options: WorkerOptions, notices: NoticeWriter | None, *, rq_level: str) -> bool:
    """Connect, and run the worker. Returns whether it ended a job because it was told to end at once."""
    with when_admitted(partial(connect, settings=options.settings, environ={}), name="the worker") as bus:
        bus.redis.hang_up()  # the worker has connections of its own
        make = partial(
            Worker,
            options.queues,
            options.name or None,
            connection=bus.redis,
            modules=options.modules,
            retire=options.retire,
            lease_s=options.lease_s,
            skip_foreign=options.skip_foreign,
            window=options.window,
            told=None if notices is None else lambda is_busy: notices.write(Notice("busy" if is_busy else "idle")),
        )
        worker = when_admitted(make, name="the worker")
        worker.work(burst=options.burst, logging_level=rq_level, with_scheduler=True)
        return worker._signals.has_cut
