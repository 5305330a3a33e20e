"""Jobs that log."""

import logging

from rq import Retry

from workers import current_job, job

log = logging.getLogger("yard")


@job("work")
def tell(*words: str) -> None:
    for word in words:
        log.warning("%s", word, extra={"colour": "red"})
    log.info("quietly")


@job("work")
def fail_with_a_line() -> None:
    log.warning("about to fail")
    raise LookupError("nothing there")


@job("work")
def try_again() -> Retry | None:
    log.warning("trying")
    return Retry(max=2) if (current_job().number_of_retries or 0) < 1 else None


@job("work", concurrency=10)
async def tell_beside(word: str) -> None:
    log.warning("%s", word)
