"""A horse whose tokens are real and whose process is the test: it begins its tasks one by one, and dies, when a test says so."""

from typing import Any

from tests.support.claims_here import FakeHorse
from workers.horse import Reply, Task
from workers.horse.fork_server import Death
from workers.horse.tokens import Tokens
from workers.scripts.run import Ended, Run

__all__ = ["TokenHorse"]


class TokenHorse(FakeHorse):
    """Use it as a context manager: the tokens are a pair of sockets."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.bodies = Tokens(), list[Task]()
        self.begun = 0
        self.replies: list[Reply] = []
        self.death: Death | None = None
        self.rings_always = False
        self.is_dead = False

    def __enter__(self) -> "TokenHorse":
        self.tokens.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.tokens.close()

    def begin(self) -> str:
        """Begin the next task as a horse does. Returns the id of its job, empty if there is none that may begin."""
        token = self.tokens.take()
        if token is None:
            return ""
        while not Tokens.is_of(token, self.bodies[0].number):
            self.bodies.pop(0)  # it was taken back
        task = self.bodies.pop(0)
        self.begun = task.number
        return task.job_id

    def begin_all(self) -> list[str]:
        """Begin all tasks that may begin."""
        return list(iter(self.begin, ""))

    def reply(self, job_id: str, **options: Any) -> None:
        """Reply that the run of a job has ended."""
        task = next(each for each in self.given if each.job_id == job_id)
        self.replies.append(Reply(ended=Ended(Run(task.job_id, task.fence), 1.0, 2.0), number=task.number, **options))

    def die(self) -> None:
        """Die without a reply."""
        self.death = Death(9, 0, (0,) * 16)

    def give(self, *tasks: Task) -> None:
        super().give(*tasks)
        self.bodies = list(tasks) if self.is_dead else self.bodies + list(tasks)
        self.is_dead = False
        self.tokens.give(*(task.number for task in tasks))

    def add(self, *tasks: Task) -> bool:
        if self.is_dead:
            return False
        self.give(*tasks)
        return True

    def look(self, timeout_s: float) -> tuple[list[Reply], Death | None]:
        replies, death = self.replies, self.death
        self.replies, self.death = [], None
        self.is_dead = self.is_dead or death is not None or bool(replies and replies[-1].retires)
        return replies, death

    def take_back(self) -> int:
        return self.tokens.take_back()

    def resume(self, *numbers: int) -> None:
        self.tokens.give(*numbers)

    def ring_always(self, value: bool) -> None:
        self.rings_always = value
