"""Enqueues jobs, and settles at once what becomes of those whose service is overdue."""

import logging
from collections.abc import Sequence

from notify.errors import ServerError
from notify.server import Client
from workers.loss import OverdueServices
from workers.scripts import Admission, EnqueueScripts, NewJob

__all__ = ["AdmittingScripts"]

log = logging.getLogger(__name__)


class AdmittingScripts(EnqueueScripts):
    """Puts jobs on queues. If a service that one of them needs is overdue, the directory is swept, at most once in a second.

    If that withdraws the service, the job ends or is held by its policy at once, as if the service had not been there.

    Args:
        client: the client of the queue.
    """

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._overdue = OverdueServices(client)

    def enqueue(self, queue: str, new_jobs: Sequence[NewJob]) -> list[Admission]:
        return self._settle(new_jobs, super().enqueue(queue, new_jobs))

    def enqueue_many(self, queue: str, new_jobs: Sequence[NewJob]) -> list[Admission]:
        return self._settle(new_jobs, super().enqueue_many(queue, new_jobs))

    def _settle(self, new_jobs: Sequence[NewJob], admissions: list[Admission]) -> list[Admission]:
        waiting = [index for index, admission in enumerate(admissions) if admission.overdue]
        if waiting and self._overdue.settle():
            try:
                for index, admission in zip(waiting, self.check_waiting([new_jobs[index].job_id for index in waiting]), strict=True):
                    admissions[index] = admission
            except ServerError as exc:  # the jobs are on the queue; a worker applies the loss
                log.warning("jobs that wait for an overdue service were not checked again: %s", exc)
        return admissions
