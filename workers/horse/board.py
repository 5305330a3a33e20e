"""The board: a page of memory that worker, fork server and horse share, and that is still there when one of them was killed."""

import mmap
from typing import Final

__all__ = ["Board"]

NUMBER_BYTES: Final = 8
RINGS: Final = NUMBER_BYTES


class Board:
    """What the processes of one worker know of each other without asking. Make it before the fork server is forked."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE)

    @property
    def begun(self) -> int:
        """The number of the last task that the horse has begun. It holds for good once the horse is dead."""
        return int.from_bytes(self._page[:NUMBER_BYTES], "little")

    @begun.setter
    def begun(self, number: int) -> None:
        self._page[:NUMBER_BYTES] = number.to_bytes(NUMBER_BYTES, "little")

    @property
    def rings_always(self) -> bool:
        """Whether the horse rings at the end of every task: the worker has taken back the one at whose end it was to ring."""
        return self._page[RINGS] != 0

    @rings_always.setter
    def rings_always(self, value: bool) -> None:
        self._page[RINGS] = value
