"""The atomic steps of jobs that wait for their time: jobs of a schedule (cron), and RQ's scheduled jobs."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from workers import rq_keys
from workers.scripts.enqueue import NewJob
from workers.scripts.runner import JobScriptRunner

__all__ = ["CronAnswer", "DueJobs", "LoadedJob", "ScheduleScripts"]


class LoadedJob(NamedTuple):
    """A job of a schedule that a worker has loaded: its name, its specification as JSON, and when it is due next."""

    name: str
    spec: bytes
    due_ms: int


class DueJobs(NamedTuple):
    """The jobs of a schedule that are due.

    Args:
        now_ms: the clock of the server, in ms.
        wait_ms: ms until the next job is due.
        back_ms: by how many ms the clock of the server was put back since the last look; then `ScheduleScripts.cron_plan` comes first.
        jobs: name, ms at which it was due, and specification as JSON, of each.
    """

    now_ms: int
    wait_ms: int
    back_ms: int
    jobs: list[tuple[bytes, int, bytes]]


class CronAnswer(NamedTuple):
    """What happened to a due job of a schedule.

    Args:
        answer: ``enqueued``; ``skipped``, because the one before it still waits; ``paused``; ``unserved``, because no worker listens to its
            queue; or empty, because another leader was first.
        is_news: whether no worker listens for the first time, or one listens again.
    """

    answer: str
    is_news: bool


class ScheduleScripts(JobScriptRunner):
    """The atomic steps of jobs that wait for their time."""

    def cron_register(self, worker: str, names: Sequence[str], loaded: Sequence[LoadedJob]) -> int:
        """Register the jobs of a schedule that a worker has loaded. A new job, or one with a new schedule, is due at its next time.

        Args:
            worker: the name of the worker.
            names: the names of all jobs of a schedule that the worker has loaded.
            loaded: those of them that will be due again.

        Returns:
            The number of jobs that are new, or have a new schedule.
        """
        keys = [self.keys.cron, self.keys.cron_due, self.keys.cron_workers]
        args = [worker, msgspec.json.encode(list(names)), *(part for each in loaded for part in each)]
        return int(self.run("cron_register", keys, args, action="registering the jobs that have a schedule"))

    def cron_due(self, *, longest_wait_ms: int) -> DueJobs:
        """Return the jobs of a schedule that are due and that a living worker has loaded."""
        keys = [self.keys.cron, self.keys.cron_due, self.keys.cron_workers, self.keys.cron_last]
        keys += [self.keys.leases, self.keys.clock]
        now, wait_ms, back_ms, *due = self.run(
            "cron_due", keys, [longest_wait_ms], action="looking for jobs that are due by their schedule"
        )
        jobs = [(name, int(due_ms), spec) for name, due_ms, spec in zip(due[::3], due[1::3], due[2::3], strict=True)]
        return DueJobs(int(now), int(wait_ms), int(back_ms), jobs)

    def cron_plan(self, changes: Sequence[tuple[str | bytes, int, int]]) -> int:
        """Set new times at which jobs of a schedule are due, after the clock of the server was put back.

        Args:
            changes: name, ms at which it was due when it was read, and ms at which it is due now, of each job.

        Returns:
            How many jobs have a new time.
        """
        args = [part for change in changes for part in change]
        return int(self.run("cron_plan", [self.keys.cron_due, self.keys.clock], args, action="planning recurring jobs anew"))

    def cron_enqueue(
        self, name: str, new_job: NewJob, *, queue: str, due_ms: int, next_ms: int | None, overlap: str = "skip"
    ) -> CronAnswer:
        """Enqueue a job of a schedule, once for each of its times, if a worker listens to its queue.

        Args:
            name: the name under which it is registered.
            new_job: the job.
            queue: the name of its queue.
            due_ms: the time for which it is enqueued.
            next_ms: when it is due next; ``None`` for never.
            overlap: what happens if the job before it still waits, see `workers.jobs.schedule.Overlap`.
        """
        keys = [self.keys.cron_due, self.keys.cron_last, self.keys.cron_alarms, rq_keys.QUEUES, rq_keys.queue(queue)]
        keys += [rq_keys.workers(queue), self.keys.leases, rq_keys.job(new_job.job_id), self.keys.cron_paused]
        args = [name, due_ms, next_ms or "", new_job.job_id, queue, overlap, new_job.needs, *_flat(new_job.fields)]
        answer, is_news = self.run_with_common_args("cron_enqueue", keys, args, action=f"enqueueing {name!r}, which is due")
        return CronAnswer(answer.decode(), bool(is_news))

    def enqueue_due(self, scheduler: str, *, lock_ms: int, count: int, longest_wait_ms: int, timeout_s: int) -> int:
        """Put scheduled jobs whose time has come onto their queues.

        Args:
            scheduler: the value of the lock that RQ's schedulers share; the same for all leaders of a namespace.
            lock_ms: how long a queue stays locked for other schedulers.
            count: the largest number of jobs.
            longest_wait_ms: the largest answer.
            timeout_s: the timeout of a job that has none of its own.

        Returns:
            Milliseconds until the next job is due; 0 if more jobs are due already.
        """
        args: list[str | bytes | int] = [scheduler, lock_ms, count, longest_wait_ms, timeout_s]
        _, wait_ms = self.run_with_common_args("enqueue_due", [rq_keys.QUEUES], args, action="enqueueing scheduled jobs that are due")
        return int(wait_ms)


def _flat(fields: Mapping[str, Any]) -> list[str | bytes | int]:
    """Return fields and values in turn, as RQ writes them. ``None`` is left out."""
    flat: list[str | bytes | int] = []
    for field, value in fields.items():
        if value is not None:
            flat += (field, value if isinstance(value, bytes | str) else str(value))
    return flat
