"""Enqueues jobs, and settles at once what becomes of those whose service is overdue."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from notify.errors import ServerError
from notify.process import current_trace, is_traced, producing
from notify.server import Client
from workers.jobs import trace_fields
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
        with _tracing(queue, new_jobs):
            return self._settle(new_jobs, super().enqueue(queue, new_jobs))

    def enqueue_plain(self, queue: str, new_job: NewJob) -> None:
        if not is_traced():
            super().enqueue_plain(queue, new_job)
            return
        with _tracing(queue, [new_job]):
            if b"traceparent" in new_job.fields:
                super().enqueue(queue, [new_job])
            else:
                super().enqueue_plain(queue, new_job)

    def enqueue_many(self, queue: str, new_jobs: Sequence[NewJob]) -> list[Admission]:
        with _tracing(queue, new_jobs):
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


@contextmanager
def _tracing(queue: str, new_jobs: Sequence[NewJob]) -> Iterator[None]:
    """Enqueue jobs in a PRODUCER span, if the program is traced, and have them carry it."""
    if not is_traced() or not new_jobs:
        yield
        return
    is_one = len(new_jobs) == 1
    with producing("enqueue", queue, attributes={"message.id": new_jobs[0].job_id} if is_one else {"batch.message_count": len(new_jobs)}):
        fields = trace_fields(current_trace())
        encoded = {name.encode(): value.encode() for name, value in fields.items()}
        for new_job in new_jobs:
            if fields and "tracestate" in new_job.fields:  # it is that of an earlier span, which its hash must not keep
                new_job.fields["tracestate"] = ""
            new_job.fields.update(encoded if b"data" in new_job.fields else fields)
        yield
