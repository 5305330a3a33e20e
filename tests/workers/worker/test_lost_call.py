"""Whether the error of a job is the loss of a service, where Redis does not answer at once."""

from typing import Any

import pytest

from notify.errors import RequestTimeoutError, ServerRefusedError, ServerUnreachableError
from workers.scripts.run import ErrorCheck, Run
from workers.worker.lost_call import lost_need

RUN = Run("j", "f")


class Scripts:
    """Answers the checks in turn; the last answer for ever."""

    def __init__(self, *answers: ErrorCheck | Exception) -> None:
        self.answers = list(answers)
        self.heard: list[str] = []

    def check_error(self, _run: Run, _error: Exception, *, heard: str) -> ErrorCheck:
        self.heard.append(heard)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


AWAY, REFUSED = ServerUnreachableError("no answer"), ServerRefusedError("no")
OPEN, LOST = ErrorCheck(is_open=True, wait_ms=5_000, heard="7"), ErrorCheck(lost="svc")


@pytest.mark.parametrize(
    ("answers", "need", "heard"),
    [
        ([LOST], "svc", [""]),
        ([AWAY, AWAY, LOST], "svc", ["", "", ""]),
        ([OPEN, AWAY, OPEN, LOST], "svc", ["", "7", "7", "7"]),
        ([OPEN, ErrorCheck()], "", ["", "7"]),
        ([REFUSED], "", [""]),
    ],
)
def test_the_check_is_repeated_until_the_answer_is_known(answers: list[Any], need: str, heard: list[str]) -> None:
    scripts: Any = Scripts(*answers)
    assert lost_need(scripts, RUN, RequestTimeoutError("late").about("svc")) == need
    assert scripts.heard == heard


def test_an_answer_that_never_comes_is_no_loss() -> None:
    scripts: Any = Scripts(ErrorCheck(is_open=True, wait_ms=100, heard="7"))
    assert lost_need(scripts, RUN, RequestTimeoutError("late").about("svc")) == ""
    assert len(scripts.heard) > 1


def test_an_error_about_no_service_is_not_checked() -> None:
    scripts: Any = Scripts(LOST)
    assert lost_need(scripts, RUN, RequestTimeoutError("late")) == ""
    assert scripts.heard == []
